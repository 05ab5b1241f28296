"""One run: every load on every server, round after round. Each round begins with another server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loadtests.bench.check import check_server, expected_outputs
from loadtests.bench.figures import Sample
from loadtests.bench.fleet import Fleet
from loadtests.bench.generators import Generators, require_tools
from loadtests.bench.launch import Launch, StartError, Target
from loadtests.bench.payload import Payload
from loadtests.bench.request_files import Request, write_request
from loadtests.bench.scenarios import Scenario
from loadtests.bench.setting import Setting
from loadtests.targets.ours import prepare_home

KEEPS_UP: Final = 0.5
"""Share of an open loop's rate. A server that reaches less is not measured: its latencies would be queueing time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The targets and scenarios of one run, and where it keeps its files."""

    targets: Sequence[str]
    scenarios: Sequence[Scenario]
    rounds: int
    base_port: int
    work: Path
    home: Path


@dataclass(slots=True)
class Results:
    """The results of one run: the samples of each scenario and server, in the order of the rounds."""

    plan: Plan
    skipped: dict[str, str] = field(default_factory=dict)
    request_bytes: dict[str, int] = field(default_factory=dict)
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    behind: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Requests of all loads that did not get status 2xx."""
        return sum(
            sample.failed for servers in self.samples.values() for samples in servers.values() for sample in samples
        )


def run(plan: Plan, console: Console) -> Results:
    """Start the servers, measure them in turn, and stop them."""
    plan.work.mkdir(parents=True, exist_ok=True)
    with _progress(console) as progress:
        task = progress.add_task("preparing", total=None)
        setting = Setting(plan.work, plan.home, plan.base_port, lambda text: progress.update(task, description=text))
        generators = require_tools(list(plan.scenarios), setting)
        prepare_home(setting)
        results = Results(plan)
        with Fleet(setting) as fleet:
            for name in plan.targets:
                fleet.start(name)
            results.skipped = fleet.skipped
            loads = _Loads(plan, setting, generators, fleet.running, results)
            progress.update(task, total=loads.count)
            for text in loads.measure():
                progress.update(task, description=text)
                progress.advance(task)
    return results


class _Loads:
    """The loads of a run, in order."""

    def __init__(
        self, plan: Plan, setting: Setting, generators: Generators, running: dict[str, Target], results: Results
    ) -> None:
        self._plan = plan
        self._generators = generators
        self._running = running
        self._results = results
        self._requests: dict[Payload, Request] = {}
        for payload in dict.fromkeys(scenario.payload for scenario in plan.scenarios):
            self._requests[payload] = write_request(payload, plan.work)
            self._check_servers(payload, setting)
        self.count = sum(map(len, results.samples.values())) * (plan.rounds + 1)

    def measure(self) -> Iterator[str]:
        """Put every load on every server. Yield a line before each load."""
        for scenario in self._plan.scenarios:
            for name in list(self._results.samples[scenario.name]):
                yield f"warm-up {scenario.name} {name}"
                self._warm_up(scenario, name)
        for index in range(self._plan.rounds):
            for scenario in self._plan.scenarios:
                samples = self._results.samples[scenario.name]
                for name in rotated(list(samples), index):
                    yield f"round {index + 1}/{self._plan.rounds} {scenario.name} {name}"
                    samples[name].append(self._load(scenario, name))

    def _check_servers(self, payload: Payload, setting: Setting) -> None:
        """Check every server that supports the payload. Skip those that do not return the model's outputs."""
        expected = expected_outputs(setting.models[payload.model], payload)
        able = []
        for name, target in self._running.items():
            if payload.form not in target.forms or payload.model not in target.models:
                continue
            try:
                if isinstance(target, Launch):
                    check_server(target, payload, expected)
            except (StartError, httpx.HTTPError) as error:
                self._results.skipped[f"{name} ({payload})"] = str(error)
            else:
                able.append(name)
        for scenario in self._plan.scenarios:
            if scenario.payload == payload:
                self._results.request_bytes[scenario.name] = self._requests[payload].content_bytes
                self._results.samples[scenario.name] = {name: [] for name in able}

    def _warm_up(self, scenario: Scenario, name: str) -> None:
        """Put a short load on a server. Leave the server out if it cannot keep up with an open loop."""
        sample = self._load(replace(scenario, duration_s=scenario.warmup_s), name)
        if scenario.rate_per_s and falls_behind(sample, scenario.rate_per_s):
            self._results.behind.setdefault(scenario.name, {})[name] = sample.rate_per_s
            del self._results.samples[scenario.name][name]

    def _load(self, scenario: Scenario, name: str) -> Sample:
        log = self._plan.work / f"{scenario.name}-{name}.log"
        return self._generators.load(scenario, self._running[name], self._requests[scenario.payload], log)


def falls_behind(sample: Sample, rate_per_s: int) -> bool:
    """Return True if a server was too slow. One that rejected requests is measured, so that its failures show."""
    return sample.failures.keys() <= {"unfinished"} and sample.rate_per_s < KEEPS_UP * rate_per_s


def rotated(names: list[str], by: int) -> list[str]:
    """Return the names in order, starting with another one in each round."""
    first = by % len(names) if names else 0
    return names[first:] + names[:first]


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)
