"""A gateway of one replica without Ray that has the demo's models, as the studies measure it, and figures of turns."""

import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table

from loadtests.bench.figures import Sample, ratios, spread
from loadtests.bench.generators import closed_load, open_load
from loadtests.bench.launch import Form, Launch
from loadtests.bench.payload import Payload, http_body
from loadtests.bench.processes import run_quietly
from loadtests.bench.request_files import Request, write_request
from loadtests.bench.scenarios import Kind, Scenario

POINTSMAN: Final = str(Path(sys.executable).with_name("pointsman"))
_READY_S: Final = 90.0
_PREPARE_S: Final = 300.0
_CONNECTIONS: Final = 32


def prepare_home(home: Path) -> None:
    """Train the demo's models and declare its routes in a home."""
    run_quietly([POINTSMAN, "demo", "--prepare", "--home", str(home)], _PREPARE_S)


def launch_of(
    home: Path,
    routes: Sequence[Mapping[str, Any]] = (),
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (POINTSMAN,),
) -> Launch:
    """Return how to start a gateway on this home, which is named as its folder, and to declare `routes` on it."""
    port, file = free_port(), home.parent / f"{home.name}.yaml"
    file.write_text(yaml.safe_dump_all(routes))
    declare = [POINTSMAN, "apply", "-f", str(file), "--url", f"http://127.0.0.1:{port}"]
    return Launch(
        name=home.name,
        port=port,
        command=[*command, "serve", "--engine", "uvicorn", "--port", str(port), "--home", str(home)],
        env={"POINTSMAN_GRPC_PORT": "0", **(environment or {})},
        ready_limit_s=_READY_S,
        after_ready=[declare] if routes else [],
    )


def one_row(work: Path) -> Request:
    """Write a request of one row for the model `cancer`."""
    body = http_body(Payload("cancer", Form.JSON, 1)).content
    file = work / "request"
    file.write_bytes(body)
    return Request(file, len(body), {})


def at_full_speed(launch: Launch, route: str, seconds: int, request: Request, work: Path) -> Sample:
    """Keep 32 connections busy with a request. It needs wrk."""
    scenario = Scenario(
        name=route,
        suite="studies",
        kind=Kind.CLOSED,
        summary=route,
        connections=_CONNECTIONS,
        warmup_s=0,
        duration_s=seconds,
    )
    return closed_load(scenario, launch.infer_url(route), request, work / "wrk.log")


def at_rate(launch: Launch, route: str, per_second: int, seconds: int, work: Path) -> Sample:
    """Send requests of one row for `cancer` in an open loop. It needs h2load."""
    scenario = Scenario(
        name=route,
        suite="studies",
        kind=Kind.OPEN,
        summary=route,
        connections=8,
        warmup_s=0,
        rate_per_s=per_second,
        model="cancer",
        duration_s=seconds,
    )
    return open_load(scenario, launch.infer_url(route), write_request(scenario.payload, work), work / "h2load.log")


def in_turn(number: int, names: list[str]) -> list[str]:
    """Return the names in the order of a round: each round begins with the next one."""
    first = number % len(names)
    return names[first:] + names[:first]


def figures(name: str, taken: list[Sample], first: list[Sample]) -> dict[str, Any]:
    """Return medians of what was measured, and the ratio of its rate to that of `first`, round by round."""
    ratio = ratios([sample.rate_per_s for sample in taken], [sample.rate_per_s for sample in first])
    return {
        "name": name,
        "requests_per_s": spread(sample.rate_per_s for sample in taken).median,
        "p50_ms": spread(sample.p50_us / 1e3 for sample in taken).median,
        "p99_ms": spread(sample.p99_us / 1e3 for sample in taken).median,
        "ratio": ratio.median,
        "lowest": ratio.minimum,
        "highest": ratio.maximum,
        "failed": sum(sample.failed for sample in taken),
    }


def print_figures(what: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows of `figures`, under a heading for their names."""
    table = Table(what, "requests/s", "p50 ms", "p99 ms", "÷ first: median", "lowest", "highest", "failed", box=None)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:,.4g}" for value in row.values()))
    Console().print(table)


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
