"""The load generators: wrk, h2load, perf_analyzer, and the loop that needs no server. All have a time limit."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench import grpc_client, perf_analyzer
from loadtests.bench.figures import Sample, lost, parse_h2load_log, parse_wrk
from loadtests.bench.launch import Form, Launch, Loop, StartError, Target
from loadtests.bench.payload import table
from loadtests.bench.perf_analyzer import PerfAnalyzer
from loadtests.bench.request_files import Request
from loadtests.bench.scenarios import Kind, Scenario
from loadtests.bench.setting import FOLDER, REPOSITORY, Setting

PACKAGES: Final = {"wrk": "wrk", "h2load": "nghttp2-client"}
TOOLS: Final = {Kind.CLOSED: "wrk", Kind.OPEN: "h2load"}

_GRACE_S: Final = 15


class GeneratorMissingError(Exception):
    """A load generator is not installed."""


@dataclass(frozen=True, slots=True)
class Generators:
    """The load generators of one run. `grpc` is set only if a scenario needs it."""

    grpc: PerfAnalyzer | None

    def load(self, scenario: Scenario, target: Target, request: Request, log: Path) -> Sample:
        """Put one load on a target and return its sample. A load without figures counts as failed."""
        try:
            return self._load(scenario, target, request, log)
        except subprocess.TimeoutExpired:
            return lost("unfinished")
        except subprocess.CalledProcessError as error:
            log.write_text(f"{error}\n{error.stdout}{error.stderr}")
            return lost("generator")
        except StartError as error:
            log.write_text(f"{error}\n")
            return lost("generator")
        except ValueError:
            return lost("summary")

    def _load(self, scenario: Scenario, target: Target, request: Request, log: Path) -> Sample:
        if isinstance(target, Loop):
            return _looped(scenario, target, log)
        if scenario.form is Form.GRPC and self.grpc:
            return _grpc(self.grpc, scenario, target, request, log)
        run = closed_load if scenario.kind is Kind.CLOSED else open_load
        return run(scenario, target.infer_url(scenario.model), request, log)


def require_tools(scenarios: list[Scenario], setting: Setting) -> Generators:
    """Check that the load generators for these scenarios are installed. perf_analyzer is downloaded.

    Raises:
        GeneratorMissingError: one is missing; the sentence says how to install it.
    """
    over_grpc = [scenario for scenario in scenarios if scenario.form is Form.GRPC]
    for tool in {TOOLS[scenario.kind] for scenario in scenarios if scenario not in over_grpc}:
        if shutil.which(tool) is None:
            raise GeneratorMissingError(
                f"Install {tool} for these scenarios: apt-get install {PACKAGES[tool]} (Debian, Ubuntu)."
            )
    try:
        return Generators(perf_analyzer.ensure(setting.work, setting.tell) if over_grpc else None)
    except StartError as error:
        raise GeneratorMissingError(str(error)) from error


def open_command(scenario: Scenario, url: str, request: Request, log: Path) -> list[str]:
    """Return the h2load command. Connections start one after another, which spaces the requests evenly."""
    rate_per_s = scenario.rate_per_s or 1
    period_ms = max(1, round(1000 / rate_per_s))
    started_per_period = max(1, round(rate_per_s * period_ms / 1000))
    return [
        "h2load",
        "--h1",
        f"--clients={scenario.connections}",
        f"--rate={started_per_period}",
        f"--rate-period={period_ms}ms",
        f"--rps={rate_per_s / scenario.connections}",
        f"--requests={_planned(scenario)}",
        f"--data={request.file}",
        *(f"--header={name}: {value}" for name, value in request.headers.items()),
        f"--log-file={log}",
        url,
    ]


def closed_command(scenario: Scenario, url: str, request: Request) -> list[str]:
    """Return the wrk command that keeps every connection busy."""
    connections, duration = f"--connections={scenario.connections}", f"--duration={scenario.duration_s}s"
    script = f"--script={FOLDER / 'post.lua'}"
    header = [] if request.json_bytes is None else [str(request.json_bytes)]
    return [
        "wrk",
        f"--threads={scenario.threads}",
        connections,
        duration,
        script,
        url,
        "--",
        str(request.file),
        *header,
    ]


def loop_command(scenario: Scenario, loop: Loop) -> list[str]:
    """Return the command that calls the model without a server."""
    file, rows = loop.files[scenario.model], str(scenario.rows)
    return [sys.executable, "-m", loop.module, scenario.model, str(file), rows, str(scenario.duration_s)]


def closed_load(scenario: Scenario, url: str, request: Request, log: Path) -> Sample:
    """Put a closed-loop load on an address and return its sample.

    Raises:
        subprocess.SubprocessError: wrk failed, or did not end in time.
    """
    output = _run(closed_command(scenario, url, request), scenario)
    log.write_text(output)
    return parse_wrk(output)


def open_load(scenario: Scenario, url: str, request: Request, log: Path) -> Sample:
    """Put an open-loop load on an address and return its sample.

    Raises:
        subprocess.SubprocessError: h2load failed, or did not end in time.
    """
    log.unlink(missing_ok=True)
    _run(open_command(scenario, url, request, log), scenario)
    return parse_h2load_log(log.read_text(), _planned(scenario), scenario.connections, scenario.rate_per_s or 1)


def _looped(scenario: Scenario, loop: Loop, log: Path) -> Sample:
    output = _run(loop_command(scenario, loop), scenario)
    log.write_text(output)
    return parse_wrk(output)


def _grpc(tool: PerfAnalyzer, scenario: Scenario, target: Launch, request: Request, log: Path) -> Sample:
    report = log.with_suffix(".csv")
    report.unlink(missing_ok=True)
    address = target.grpc_address
    shape = [scenario.rows, *table(scenario.model, scenario.rows).shape[1:]]
    if grpc_client.counts_rows_apart(address, scenario.model):
        shape = shape[1:]
    command = perf_analyzer.command(tool, scenario, address, shape, request.file, report)
    output = _run(command, scenario, tool.env)
    log.write_text(output)
    return perf_analyzer.parse(report.read_text(), output)


def _run(command: list[str], scenario: Scenario, env: dict[str, str] | None = None) -> str:
    limit_s = 2 * scenario.duration_s + _GRACE_S
    done = subprocess.run(  # noqa: S603  # commands of this module
        command, capture_output=True, text=True, check=True, timeout=limit_s, env=env, cwd=REPOSITORY
    )
    return done.stdout


def _planned(scenario: Scenario) -> int:
    """Return how many requests an open loop sends. Every connection sends the same number."""
    per_connection = round((scenario.rate_per_s or 1) * scenario.duration_s / scenario.connections)
    return max(1, per_connection) * scenario.connections
