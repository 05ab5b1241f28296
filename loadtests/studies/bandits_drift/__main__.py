"""Bandits where the level of reward drifts, and where decisions of a unit hang together.

`python -m loadtests.studies.bandits_drift [--json]`: two equal arms of which one begins with 10 % of the traffic, four
unequal arms, and units. The pooled rule is there to be seen failing. The exit code is 1 if a promise is not kept.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from enum import StrEnum
from functools import partial
from itertools import product
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from loadtests.studies.bandits_drift import drift, units
from loadtests.studies.bandits_drift.delay import regret
from loadtests.studies.bandits_drift.rules import RULES

SEED = 20_261_130
RUNS = 200
_PLAIN = "pooled"
_CHANCE = 3.0
"""So many standard errors may the mean final weight be off .5."""
_SHARE_OF_PLAIN, _SHARE_OF_RUNS = 1.15, 0.07

Figure = dict[str, Any]
Map = Callable[[Callable[..., Any], str], list[Any]]


class Part(StrEnum):
    """A part of the study."""

    EQUAL = "equal"
    REGRET = "regret"
    UNITS = "units"
    DELAY = "delay"


def main(
    parts: Annotated[list[Part] | None, typer.Argument(help="What to simulate. Default: everything.")] = None,
    runs: Annotated[int, typer.Option(min=2, help="Simulated routes of each case.")] = RUNS,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Simulate bandits. The exit code is 1 if a promise is not kept."""
    with ProcessPoolExecutor(workers) as pool:

        def play(run: Callable[..., Any], what: str) -> list[Any]:
            seeds = [(SEED, seed) for seed in range(runs)]
            results = pool.map(run, seeds, chunksize=4)
            return list(track(results, what, total=runs, console=Console(stderr=True), transient=True))

        of_part = {Part.EQUAL: _equal_arms, Part.REGRET: _regret, Part.UNITS: _units, Part.DELAY: _delay}
        figures = [figure for part in parts or list(Part) for figure in of_part[part](play)]
    if as_json:
        print(json.dumps({"seed": SEED, "runs": runs, "figures": figures}, indent=2))  # noqa: T201  # the command's output
    else:
        _print(figures)
    raise typer.Exit(0 if all(figure.get("met", True) for figure in figures) else 1)


def _equal_arms(play: Map) -> Iterator[Figure]:
    """Yield the mean final weight of the one of two equal arms that began with 10 %."""
    for (name, scene), rule in product(drift.TWO_EQUAL.items(), RULES):
        weights = [
            outcome.weight for outcome in play(partial(drift.play, scene, rule), f"two equal arms, {name}, {rule}")
        ]
        mean, error = float(np.mean(weights)), float(np.std(weights, ddof=1) / len(weights) ** 0.5)
        figure = {"case": f"two equal arms, level {name}: final weight", "rule": rule, "value": mean, "error": error}
        is_chance = abs(mean - 0.5) <= _CHANCE * error
        yield figure | {"met": is_chance != (rule == _PLAIN)}  # the plain rule must fail, or nothing is shown


def _regret(play: Map) -> Iterator[Figure]:
    """Yield the rewards that are lost beside the best of four arms."""
    for name, scene in drift.FOUR_ARMS.items():
        plain = 0.0
        for rule in (_PLAIN, "effects"):
            regrets = [each.regret for each in play(partial(drift.play, scene, rule), f"four arms, {name}, {rule}")]
            mean, error = float(np.mean(regrets)), float(np.std(regrets, ddof=1) / len(regrets) ** 0.5)
            plain = plain or mean
            figure = {"case": f"four arms, level {name}: regret", "rule": rule, "value": mean, "error": error}
            figure["ratio"] = mean / plain
            yield figure if rule == _PLAIN else figure | {"met": mean <= _SHARE_OF_PLAIN * plain}


def _units(play: Map) -> Iterator[Figure]:
    """Yield the share of runs in which one of two equal arms seems the best, at the worst look."""
    crowds = [
        units.Crowd(count, zipf, share, is_adaptive)
        for share, is_adaptive in ((0.5, False), (0.9, False), (0.5, True))
        for count, zipf in product((200, 1000, 10_000), (0.0, 0.7, 1.0))
    ]
    for crowd in [*crowds, units.Crowd(1000, 0.0, knows_units=False)]:
        case = f"{crowd.units} units, Zipf {crowd.zipf:g}, first arm {crowd.first_share:.0%}"
        case += ", weights move" if crowd.is_adaptive else ""
        best = np.array(play(partial(units.looks, crowd), case))
        either = ((best > 0.95) | (best < 0.05)).mean(axis=0)
        named = np.maximum((best > 0.95).mean(axis=0), (best < 0.05).mean(axis=0))
        worst = float(either.max())
        error = (worst * (1 - worst) / len(best)) ** 0.5
        figure: Figure = {"case": case, "value": worst, "error": error, "named": float(named.max())}
        figure |= {"rule": "effects" if crowd.knows_units else "effects, units not known", "looks": either.tolist()}
        # Where weights follow luck, P(best) is above .95 more often, also without units: nothing is promised of it.
        is_promised = crowd.knows_units and not crowd.is_adaptive
        yield figure | ({"met": worst <= _SHARE_OF_RUNS + 2 * error} if is_promised else {})


def _delay(_: Map) -> Iterator[Figure]:
    """Yield the regret with batches of so many steps, of one run each."""
    for steps in (100, 316, 1000):
        yield {"case": f"rewards after {steps} steps: regret", "rule": "effects", "value": regret(steps, (SEED, 0))}


def _print(figures: list[Figure]) -> None:
    table = Table("case", "estimate", "measured", "standard error", "÷ pooled", "one named arm", "met", box=None)
    for each in figures:
        ratio = f"{each['ratio']:.2f}" if "ratio" in each else ""
        named = f"{each['named']:.3f}" if "named" in each else ""
        met = {True: "yes", False: "NO"}[bool(each["met"])] if "met" in each else ""
        error = f"{each['error']:.3f}" if "error" in each else ""
        row = (each["case"], each["rule"], f"{each['value']:.3f}", error, ratio, named, met)
        table.add_row(*row)
    Console(width=160).print(table)


if __name__ == "__main__":
    typer.run(main)
