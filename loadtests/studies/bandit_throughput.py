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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import orjson
import typer
import yaml
from rich.console import Console

from loadtests.bench.figures import Sample
from loadtests.bench.launch import Form
from loadtests.bench.payload import Payload, http_body, table
from loadtests.bench.processes import Server
from loadtests.bench.request_files import Request
from loadtests.studies.demo_gateway import at_full_speed, figures, in_turn, launch_of, prepare_home, print_figures

_ROUTES = Path(__file__).parents[1] / "routes"
_FILES = tuple(_ROUTES / f"{name}.yaml" for name in ("split", "split-with-metric", "bandit", "linear-thompson"))


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
        prepare_home(work / "var")
        launch, request = launch_of(work / "var", routes), _write_requests(contexts, work)
        server = Server(launch, work / "gateway.log", work)
        try:
            server.wait_ready()
            for name in samples:
                at_full_speed(launch, name, 1, request, work)
            for number in range(rounds):
                console.print(f"round {number + 1} of {rounds}")
                for name in in_turn(number, list(samples)):
                    samples[name].append(at_full_speed(launch, name, seconds, request, work))
        finally:
            server.stop()
    rows = [figures(name, taken, next(iter(samples.values()))) for name, taken in samples.items()]
    if as_json:
        typer.echo(json.dumps({"load_before": load_before, "routes": rows}))
    else:
        console.print(f"load average before: {load_before:.1f}")
        print_figures("route", rows)


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


if __name__ == "__main__":
    typer.run(main)
