"""The load generators: wrk for the closed loop, h2load for the open one. Both are bounded in time."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from loadtests.figures import Sample, lost, parse_h2load_log, parse_wrk
from loadtests.scenarios import Kind, Scenario

PACKAGES: Final = {"wrk": "wrk", "h2load": "nghttp2-client"}
TOOLS: Final = {Kind.CLOSED: "wrk", Kind.OPEN: "h2load"}

_SCRIPT: Final = Path(__file__).parent / "post.lua"
_GRACE_S: Final = 15


class GeneratorMissingError(Exception):
    """The tool that makes a kind of load is not installed."""


def require_tool(kind: Kind) -> None:
    """Check that the tool for this kind of load is installed."""
    tool = TOOLS[kind]
    if shutil.which(tool) is None:
        raise GeneratorMissingError(
            f"Install {tool} for the {kind} scenario: apt-get install {PACKAGES[tool]} (Debian, Ubuntu)."
        )


def load(scenario: Scenario, url: str, body: Path, log: Path) -> Sample:
    """Put one load on a server and return its sample; a load that gives no figures counts as failed."""
    run = _closed if scenario.kind is Kind.CLOSED else _open
    try:
        return run(scenario, url, body, log)
    except subprocess.TimeoutExpired:
        return lost("unfinished")
    except subprocess.CalledProcessError as error:
        log.write_text(f"{error}\n{error.stdout}{error.stderr}")
        return lost("generator")
    except ValueError:
        return lost("summary")


def open_command(scenario: Scenario, url: str, body: Path, log: Path) -> list[str]:
    """Return the h2load command; connections start one after another, which spreads the requests evenly."""
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
        f"--data={body}",
        "--header=content-type: application/json",
        f"--log-file={log}",
        url,
    ]


def closed_command(scenario: Scenario, url: str, body: Path) -> list[str]:
    """Return the wrk command that keeps every connection busy."""
    connections, duration = f"--connections={scenario.connections}", f"--duration={scenario.duration_s}s"
    return ["wrk", "--threads=1", connections, duration, f"--script={_SCRIPT}", url, "--", str(body)]


def _closed(scenario: Scenario, url: str, body: Path, log: Path) -> Sample:
    output = _run(closed_command(scenario, url, body), scenario)
    log.write_text(output)
    return parse_wrk(output)


def _open(scenario: Scenario, url: str, body: Path, log: Path) -> Sample:
    log.unlink(missing_ok=True)
    _run(open_command(scenario, url, body, log), scenario)
    return parse_h2load_log(log.read_text(), _planned(scenario), scenario.connections, scenario.rate_per_s or 1)


def _run(command: list[str], scenario: Scenario) -> str:
    limit_s = 2 * scenario.duration_s + _GRACE_S
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit_s)  # noqa: S603
    return done.stdout


def _planned(scenario: Scenario) -> int:
    """Return how many requests an open load is to send: the same number on every connection."""
    per_connection = round((scenario.rate_per_s or 1) * scenario.duration_s / scenario.connections)
    return max(1, per_connection) * scenario.connections
