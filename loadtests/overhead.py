"""What the gateway adds to a request, and nothing else: `python -m loadtests.overhead`.

The full benchmark prints the same figure; this measures only the two servers that it needs.
"""

from dataclasses import replace

import typer

from loadtests.bench import (
    DEFAULT_BASE_PORT,
    DEFAULT_ROUNDS,
    DEFAULT_WORK,
    BasePort,
    DurationS,
    Home,
    JsonFile,
    Rounds,
    WorkDir,
    bench,
)
from loadtests.runner import Plan
from loadtests.scenarios import DEFAULT_DURATION_S, Kind, load_scenarios
from loadtests.targets.floors import FLOOR
from loadtests.targets.ours import OURS


def main(
    rounds: Rounds = DEFAULT_ROUNDS,
    duration_s: DurationS = DEFAULT_DURATION_S,
    base_port: BasePort = DEFAULT_BASE_PORT,
    work_dir: WorkDir = DEFAULT_WORK,
    home: Home = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the gateway and the bare server at saturation, and print the difference per request."""
    scenarios = [replace(one, duration_s=duration_s) for one in load_scenarios("http", frozenset({Kind.CLOSED}))]
    work = work_dir.resolve()
    plan = Plan([OURS, FLOOR], scenarios, rounds, base_port, work, (home or work / "home").resolve(), all_needed=True)
    raise typer.Exit(bench([plan], json_file))


if __name__ == "__main__":
    typer.run(main)
