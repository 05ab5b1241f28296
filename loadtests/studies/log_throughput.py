"""What the log costs a route: requests a second and latencies with it, beside a gateway whose log drops every record.

Replicas without Ray serve the same route side by side: one without a log, one with its log in a directory, and with
`--s3` one with its log in a real S3 server on this machine. wrk keeps 32 connections to one of them busy, then to the
next, in several rounds, of which each begins with another. Each companion ships what its gateway has logged also while
others are measured. Ratios are those to the gateway without a log, round by round.
It needs wrk. `python -m loadtests.studies.log_throughput [--rounds N] [--seconds N] [--s3] [--json]`.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer
from rich.console import Console

from loadtests.bench.figures import Sample
from loadtests.bench.processes import Server
from loadtests.studies.demo_gateway import (
    at_full_speed,
    figures,
    in_turn,
    launch_of,
    one_row,
    prepare_home,
    print_figures,
)
from tests.support.s3_server import S3Server

ROUTE: Final = "cancer"
_WITHOUT: Final = (sys.executable, "-m", "loadtests.servers.without_log")


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 9,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of each measurement.")] = 5,
    s3: Annotated[bool, typer.Option("--s3", help="Also measure one whose log is in S3, on this machine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure gateways with and without a log in turn."""
    console = Console(stderr=True)
    load_before = os.getloadavg()[0]
    with TemporaryDirectory() as folder, ExitStack() as stack:
        work = Path(folder)
        for name in ("off", "directory", "s3")[: 3 if s3 else 2]:
            prepare_home(work / name)
        launches = [launch_of(work / "off", command=_WITHOUT), launch_of(work / "directory")]
        if s3:
            server = stack.enter_context(_storing(work / "bucket"))
            in_s3 = {**server.environment, "POINTSMAN_LOG": "s3://logs/throughput"}
            launches.append(launch_of(work / "s3", environment=in_s3))
        request = one_row(work)
        samples: dict[str, list[Sample]] = {launch.name: [] for launch in launches}
        for launch in launches:
            server_of_it = Server(launch, work / f"{launch.name}.log", work)
            stack.callback(server_of_it.stop)
            server_of_it.wait_ready()
            at_full_speed(launch, ROUTE, 1, request, work)
        by_name = {launch.name: launch for launch in launches}
        for number in range(rounds):
            console.print(f"round {number + 1} of {rounds}")
            for name in in_turn(number, list(samples)):
                samples[name].append(at_full_speed(by_name[name], ROUTE, seconds, request, work))
    rows = [figures(name, taken, samples["off"]) for name, taken in samples.items()]
    if as_json:
        typer.echo(json.dumps({"load_before": load_before, "logs": rows}))
    else:
        console.print(f"load average before: {load_before:.1f}")
        print_figures("log", rows)


@contextmanager
def _storing(folder: Path) -> Iterator[S3Server]:
    server = S3Server(folder, "logs")
    server.start()
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    typer.run(main)
