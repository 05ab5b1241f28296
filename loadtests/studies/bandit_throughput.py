"""What a bandit costs its route: requests a second and latencies beside those of a split.

One replica without Ray serves the routes of some files. wrk keeps 32 connections to one route busy, then to the next,
and so on in several rounds, of which each begins with another route. Ratios are those to the first file's route, round
by round. The model is the demo's `cancer:2`. The policies learn meanwhile, from decisions without rewards; the route
`linear-thompson` has weights of its own for each request, from 16 features. With `--contexts N`, so many requests with
other contexts are sent in turn: of more than a replica remembers (`bandits.linear.policy_weights`), each is new to it.
It needs wrk. `python -m loadtests.studies.bandit_throughput [FILE ...] [--rounds N] [--contexts N] [--json]`.
"""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import orjson
import typer
import yaml
from rich.console import Console
from rich.table import Table

from loadtests.bench.figures import Sample, ratios, spread
from loadtests.bench.generators import closed_load
from loadtests.bench.launch import Form, Launch
from loadtests.bench.payload import Payload, http_body, table
from loadtests.bench.processes import Server, run_quietly
from loadtests.bench.request_files import Request
from loadtests.bench.scenarios import Kind, Scenario
from loadtests.studies.shadows import free_port

_ROUTES = Path(__file__).parents[1] / "routes"
_FILES = tuple(_ROUTES / f"{name}.yaml" for name in ("split", "split-with-metric", "bandit", "linear-thompson"))
_READY_S = 90.0
_PREPARE_S = 300.0


def main(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="A route each. Without one: those of loadtests/routes."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each route is measured.")] = 9,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of each measurement.")] = 5,
    contexts: Annotated[int, typer.Option(min=1, help="How many requests with other contexts are sent in turn.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure routes in turn."""
    console = Console(stderr=True)
    routes = [yaml.safe_load(file.read_text()) for file in files or _FILES]
    samples: dict[str, list[Sample]] = {route["route"]: [] for route in routes}
    load_before = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        work = Path(folder)
        launch, request = _prepare(work, routes), _write_requests(contexts, work)
        server = Server(launch, work / "gateway.log", work)
        try:
            server.wait_ready()
            for name in samples:
                _measure(launch, name, 1, request, work)
            for number in range(rounds):
                console.print(f"round {number + 1} of {rounds}")
                for name in _from(number, list(samples)):
                    samples[name].append(_measure(launch, name, seconds, request, work))
        finally:
            server.stop()
    rows = [_figures(name, taken, next(iter(samples.values()))) for name, taken in samples.items()]
    if as_json:
        typer.echo(json.dumps({"load_before": load_before, "routes": rows}))
    else:
        console.print(f"load average before: {load_before:.1f}")
        _print(rows)


def _from(number: int, names: list[str]) -> list[str]:
    first = number % len(names)
    return names[first:] + names[:first]


def _prepare(work: Path, routes: list[dict[str, Any]]) -> Launch:
    """Train the demo's models, and write the routes to declare."""
    home, pointsman = work / "var", str(Path(sys.executable).with_name("pointsman"))
    run_quietly([pointsman, "demo", "--prepare", "--home", str(home)], _PREPARE_S)
    (work / "routes.yaml").write_text(yaml.safe_dump_all(routes))
    port = free_port()
    return Launch(
        name="ours-uvicorn",
        port=port,
        command=[pointsman, "serve", "--engine", "uvicorn", "--port", str(port), "--home", str(home)],
        env={"POINTSMAN_GRPC_PORT": "0"},
        ready_limit_s=_READY_S,
        after_ready=[[pointsman, "apply", "-f", str(work / "routes.yaml"), "--url", f"http://127.0.0.1:{port}"]],
    )


def _write_requests(contexts: int, work: Path) -> Request:
    """Write the bodies of requests: the first patients of the demo's data, each of whose values is up to 10 % off."""
    rows = table("cancer", contexts)
    off = np.random.default_rng(0).uniform(0.9, 1.1, (contexts, rows.shape[1])).astype(np.float32)
    template = orjson.loads(http_body(Payload("cancer", Form.JSON, 1)).content)
    bodies = []
    for row in np.resize(rows, off.shape) * off:
        template["inputs"][0]["data"] = row
        bodies.append(orjson.dumps(template, option=orjson.OPT_SERIALIZE_NUMPY))
    file = work / "requests"
    file.write_bytes(b"\n".join(bodies))
    return Request(file, len(bodies[0]), {})


def _measure(launch: Launch, route: str, seconds: int, request: Request, work: Path) -> Sample:
    scenario = Scenario(
        name=route,
        suite="bandits",
        kind=Kind.CLOSED,
        summary=route,
        connections=32,
        warmup_s=0,
        duration_s=seconds,
    )
    return closed_load(scenario, launch.infer_url(route), request, work / "wrk.log")


def _figures(name: str, taken: list[Sample], first: list[Sample]) -> dict[str, Any]:
    ratio = ratios([sample.rate_per_s for sample in taken], [sample.rate_per_s for sample in first])
    return {
        "route": name,
        "requests_per_s": spread(sample.rate_per_s for sample in taken).median,
        "p50_ms": spread(sample.p50_us / 1e3 for sample in taken).median,
        "p99_ms": spread(sample.p99_us / 1e3 for sample in taken).median,
        "ratio": ratio.median,
        "lowest": ratio.minimum,
        "highest": ratio.maximum,
        "failed": sum(sample.failed for sample in taken),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("route", "requests/s", "p50 ms", "p99 ms", "÷ first: median", "lowest", "highest", "failed", box=None)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:,.4g}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
