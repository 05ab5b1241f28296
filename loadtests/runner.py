"""One run: every server under every load, round after round, in an order that turns with each round."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loadtests.figures import Sample
from loadtests.fleet import Fleet
from loadtests.generators import load, require_tool
from loadtests.payload import check_answer, expected_answer, request_body
from loadtests.processes import Launch
from loadtests.scenarios import Scenario
from loadtests.targets import Setting, prepare_home


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run is to measure, and where it keeps its files."""

    targets: Sequence[str]
    scenarios: Sequence[Scenario]
    rounds: int
    base_port: int
    work: Path
    home: Path
    all_needed: bool = False


@dataclass(slots=True)
class Results:
    """What one run measured: the samples of each scenario and server in the order of the rounds."""

    plan: Plan
    body_bytes: int
    skipped: dict[str, str] = field(default_factory=dict)
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Requests of all loads that were not answered with status 2xx."""
        return sum(
            sample.failed for servers in self.samples.values() for samples in servers.values() for sample in samples
        )


def run(plan: Plan, console: Console) -> Results:
    """Start the servers, measure them in turn, and end them."""
    for scenario in plan.scenarios:
        require_tool(scenario.kind)
    plan.work.mkdir(parents=True, exist_ok=True)
    with _progress(console) as progress:
        task = progress.add_task("preparing", total=None)
        setting = Setting(plan.work, plan.home, plan.base_port, lambda text: progress.update(task, description=text))
        prepare_home(plan.home, setting.tell)
        body = request_body()
        expected = expected_answer(setting.model, body)
        results = Results(plan, len(body))
        with Fleet(setting) as fleet:
            for name in plan.targets:
                fleet.start(name, lambda launch: check_answer(launch, body, expected))
            results.skipped = fleet.skipped
            loads = _Loads(plan, body, fleet.running)
            progress.update(task, total=loads.count)
            for text in loads.measure(results):
                progress.update(task, description=text)
                progress.advance(task)
    return results


class _Loads:
    """The loads of a run in their order."""

    def __init__(self, plan: Plan, body: bytes, running: dict[str, Launch]) -> None:
        self._plan = plan
        self._running = running
        self._body = plan.work / "body.json"
        self._body.write_bytes(body)
        self.count = len(plan.scenarios) * len(running) * (plan.rounds + 1)

    def measure(self, results: Results) -> Iterator[str]:
        """Put every load on every server; yield a line before each one."""
        for scenario in self._plan.scenarios:
            results.samples[scenario.name] = {name: [] for name in self._running}
            warmup = replace(scenario, duration_s=scenario.warmup_s)
            for name in self._running:
                yield f"warm-up {scenario.name} {name}"
                self._load(warmup, name)
        for index in range(self._plan.rounds):
            for scenario in self._plan.scenarios:
                for name in rotated(list(self._running), index):
                    yield f"round {index + 1}/{self._plan.rounds} {scenario.name} {name}"
                    results.samples[scenario.name][name].append(self._load(scenario, name))

    def _load(self, scenario: Scenario, name: str) -> Sample:
        log = self._plan.work / f"{scenario.name}-{name}.log"
        return load(scenario, self._running[name].infer_url, self._body, log)


def rotated(names: list[str], by: int) -> list[str]:
    """Return the names in their order, beginning with another one in each round."""
    first = by % len(names) if names else 0
    return names[first:] + names[:first]


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)
