"""Drive a redis-server with what many machines ask of it.

    python -m loadtests.studies.scale [--machines 250] [--replicas 4] [--routes 1000] [--busy 100] [--share 1] [--json]

First each question of a machine is asked again and again, and its cost measured. From that follows what all of them
cost (arithmetic). Then the questions of all machines are sent at their rates, as bytes that the code of the store has
written (`replay.py`), while a few machines and replicas run for real (`live.py`). Measured are the server, how long a
change takes to each of these replicas, and how long an abort takes from when the evidence is in the store: while the
owner of the route runs, and when it has just died.
"""

import statistics
import time
from contextlib import ExitStack
from typing import Annotated

import structlog
import typer

from loadtests.figures import print_figures
from loadtests.redis_server import redis_server
from loadtests.soak.gateway import new_home
from loadtests.studies.scale.costs import rates, rates_before, summed, usage
from loadtests.studies.scale.live import Live
from loadtests.studies.scale.replay import replayed
from loadtests.studies.scale.study import SETTLE_S, Study
from store.errors import StoreUnavailable


def main(
    machines: Annotated[int, typer.Option(min=10, help="Machines.")] = 250,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas of each machine.")] = 4,
    routes: Annotated[int, typer.Option(min=30, help="Rollouts under way, of two arms.")] = 1000,
    busy: Annotated[int, typer.Option(min=1, help="Routes that get requests on a machine between two looks.")] = 100,
    share: Annotated[
        float, typer.Option(help="The share of the questions that is sent, on a machine that is too slow.")
    ] = 1.0,
    seconds: Annotated[float, typer.Option(help="Seconds over which the server is measured.")] = 20.0,
    port: Annotated[int, typer.Option(help="The port of the redis-server.")] = 8790,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure what machines, replicas and routes cost one Redis."""
    figures: dict[str, float] = {}
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with ExitStack() as stack:
        folder = stack.enter_context(new_home())
        stack.enter_context(redis_server(folder, port))
        study = Study(folder, port, (machines, replicas, routes, busy))
        _say("costs")
        costs = study.costs()
        for name, cost in costs.items():
            figures |= {f"{name}: {field}": value for field, value in cost._asdict().items()}
        asked, before = rates(machines, replicas, routes, costs["count"]), rates_before(machines, replicas, routes)
        for when, of in (("before", before), ("now", asked)):
            names = ("% of a core", "MB/s to it", "MB/s from it")
            figures |= {
                f"arithmetic, {when}: {name}": each for name, each in zip(names, summed(of, costs), strict=True)
            }
            figures[f"arithmetic, {when}: questions/s"] = sum(of.values())
        _say("load")
        stack.enter_context(replayed(port, study.parts(asked, share)))
        live_machines, live_replicas = study.run_live(stack)
        time.sleep(SETTLE_S)
        first = usage(study.server)
        time.sleep(seconds)
        last = usage(study.server)
        took_s = last.at_s - first.at_s
        figures["measured: % of a core"] = 100 * (last.cpu_s - first.cpu_s) / took_s
        figures["measured: MB/s to it"] = (last.in_bytes - first.in_bytes) / took_s / 1e6
        figures["measured: MB/s from it"] = (last.out_bytes - first.out_bytes) / took_s / 1e6
        figures["measured: commands/s, those of scripts included"] = (last.commands - first.commands) / took_s
        try:
            _say("changes")
            _note(figures, "staleness of a change at a replica", study.staleness_s())
            _say("aborts")
            _note(figures, "abort, its owner runs", [study.abort_s(route) for route in study.watched[1:]])
            _say("deaths")
            died_s = [study.abort_without_owner_s(route, live_machines) for route in study.orphaned]
            _note(figures, "abort, its owner dies", died_s)
        except (StoreUnavailable, TimeoutError) as error:
            typer.echo(f"The server does not keep up: {error}", err=True)
        everything: list[Live] = [*live_machines, *live_replicas]
        figures["unanswered looks of those that run for real"] = sum(each.unavailable for each in everything)
        print_figures(figures, as_json=as_json)


def _say(part: str) -> None:
    typer.echo(f"{time.strftime('%H:%M:%S')} {part}", err=True)


def _note(figures: dict[str, float], name: str, taken_s: list[float]) -> None:
    ordered = sorted(taken_s)
    figures[f"{name}: median s"] = statistics.median(ordered)
    figures[f"{name}: 99 % s"] = ordered[int(0.99 * (len(ordered) - 1) + 0.5)]


if __name__ == "__main__":
    typer.run(main)
