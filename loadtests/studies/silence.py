"""Rewards that stop coming: how soon that is noticed, and how often it is said of rewards that still come.

`python -m loadtests.studies.silence` simulates routes of three arms that differ in how many decisions they make and how
often these are rewarded, at rates that swing between day and night. The cohorts of a window are sixty buckets, and a
decision has matured a window after it was made. The exit code is 1 if a target is missed.
"""

import json
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from router.rewards.silence import MOST_COHORTS, Cohort, silences

_COHORTS = 240
_CUT = 120
_ARMS = ("a", "b", "c")
_LEAST_IN_WINDOW = 60.0
"""An arm whose window has fewer expected rewards is not drawn: too few to tell by."""


def main(
    runs: Annotated[int, typer.Option(help="Simulated routes of each case.")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Simulate rewards that come, and rewards that stop."""
    figures: list[dict[str, Any]] = []
    for night in (0.0, 0.5):
        false = sum(any(silences(_history(seed, night)).values()) for seed in _progress(runs, f"chance, night {night}"))
        figures.append({"case": f"rates swing by {night:.0%}, rewards come", "runs": runs, "false": false})
    for cut in (("a",), _ARMS):
        windows = [_noticed_after(seed, cut) for seed in _progress(runs // 10, f"cut off: {', '.join(cut)}")]
        figures.append({"case": f"cut off: {', '.join(cut)}", "runs": len(windows), "windows": max(windows)})
    if as_json:
        print(json.dumps(figures))  # noqa: T201  # the command's output
    else:
        _print(figures)
    is_met = all(each.get("false", 0) < 0.01 * runs and each.get("windows", 0.0) <= 2.0 for each in figures)
    raise typer.Exit(0 if is_met else 1)


def _progress(runs: int, what: str) -> Any:
    return track(range(runs), what, console=Console(stderr=True), transient=True)


def _history(seed: int, night: float, cut: tuple[str, ...] = ()) -> dict[str, list[Cohort]]:
    """Return the cohorts of each arm, of which those of the arms in `cut` lose their rewards at `_CUT`."""
    rng = np.random.default_rng(seed)
    cohorts = {}
    for arm in _ARMS:
        size, rate = 0.0, 0.0
        while size * rate * MOST_COHORTS < _LEAST_IN_WINDOW:
            size, rate = float(rng.integers(5, 200)), float(rng.uniform(0.005, 0.6))
        swing = 1 + night * np.sin(2 * np.pi * np.arange(_COHORTS) / (2 * MOST_COHORTS))
        decisions = rng.poisson(size, _COHORTS)
        rewarded = rng.binomial(decisions, np.minimum(rate * swing, 1.0))
        if arm in cut:
            rewarded[_CUT:] = 0
        cohorts[arm] = [Cohort(i, int(decisions[i]), int(rewarded[i])) for i in range(_COHORTS)]
    return cohorts


def _noticed_after(seed: int, cut: tuple[str, ...]) -> float:
    """Return how many windows after the cut its silence is noticed on every arm of `cut`."""
    history = _history(seed, 0.0, cut)
    for known in range(_CUT + 1, _COHORTS):
        found = silences({arm: cohorts[:known] for arm, cohorts in history.items()})
        if all(found[arm] for arm in cut):
            return 1 + (known - _CUT) / MOST_COHORTS  # the newest of them matures a window after it was made
    return float("inf")


def _print(figures: list[dict[str, Any]]) -> None:
    table = Table("case", "runs", "false notices", "noticed after, worst (windows)")
    for each in figures:
        windows = f"{each['windows']:.2f}" if "windows" in each else ""
        table.add_row(each["case"], str(each["runs"]), str(each.get("false", "")), windows)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
