"""A simulation that checks what guardrails promise: false alarms are rare, and a bad candidate is found.

Checking often must not cause false alarms. The simulation runs in one process: 200 requests/s, checked every 500 ms
(drawn requests) or 10 s (units). `python -m loadtests.studies.verdicts [--json]`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from loadtests.studies.verdicts import detection, nulls, power
from loadtests.studies.verdicts.finding import ALPHA, Finding

SEED = 20_261_129
RUNS = 2000
LOOKS = 1000
"""100,000 requests."""
_POWER_RUNS = 10
"""Medians need fewer runs than rare events: one for so many."""


class Part(StrEnum):
    """A part of the simulation."""

    NULLS = "nulls"
    UNIT_NULLS = "unit-nulls"
    DETECTION = "detection"
    POWER = "power"
    UNIT_POWER = "unit-power"


def main(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to simulate. Default: everything.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Number of canaries to simulate in each case.")] = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Simulate canaries under guardrails. The exit code is 1 if a promise is not kept."""
    findings = []
    console = Console(width=160, stderr=True)
    with console.status("Simulating ...") as status:
        for finding in measure(parts or list(Part), runs):
            findings.append(finding)
            status.update(f"{len(findings)} cases; last: {finding.case}")
    if as_json:
        rows = [asdict(finding) | {"met": finding.met} for finding in findings]
        print(json.dumps({"seed": SEED, "runs": runs, "alpha": ALPHA, "findings": rows}, indent=2))  # noqa: T201 - for pipes
    else:
        _print(findings, runs)
    if not all(finding.met for finding in findings):
        raise typer.Exit(1)


def measure(
    parts: list[Part], runs: int, looks: int = LOOKS, good_s: tuple[int, ...] = (0, 120, 1800)
) -> Iterator[Finding]:
    """Yield the findings of some parts. Each part has a generator of its own, so it gives the same alone.

    A canary without fault is watched for `looks` looks. Other canaries are good for `good_s` seconds, then bad.
    """
    few = max(runs // _POWER_RUNS, 1)
    of_part: dict[Part, Callable[[np.random.Generator], Iterator[Finding]]] = {
        Part.NULLS: lambda rng: nulls.of_drawn_requests(runs, looks, rng),
        Part.UNIT_NULLS: lambda rng: nulls.of_units(runs, rng),
        Part.DETECTION: lambda rng: (
            finding
            for margin in (0.0, 0.01)
            for seconds in good_s
            for finding in detection.stopped(margin, seconds, runs, rng)
        ),
        Part.POWER: lambda rng: power.of_drawn_requests(few, rng),
        Part.UNIT_POWER: lambda rng: (
            finding for zipf in (0.0, 0.7, 1.0) for finding in power.of_units(few, zipf, rng)
        ),
    }
    for part in parts:
        yield from of_part[part](np.random.default_rng([SEED, list(Part).index(part)]))


def _print(findings: list[Finding], runs: int) -> None:
    table = Table("promise", "case", "measured", "at most", "met", box=None)
    for finding in findings:
        met = "yes" if finding.met else "NO"
        table.add_row(finding.promise, finding.case, f"{finding.measured:.4g}", f"{finding.at_most:g}", met)
    Console(width=200).print(table)
    print(f"{runs} runs each, for medians {max(runs // _POWER_RUNS, 1)}; seed {SEED}, alpha {ALPHA:g}.")  # noqa: T201 - a line under the table


if __name__ == "__main__":
    typer.run(main)
