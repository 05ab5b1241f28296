"""A simulation that checks what guardrails promise: false alarms are rare, and a bad candidate is stopped quickly.

Checking often must not cause false alarms. The simulation runs in one process: 200 requests/s, checked every 500 ms.
`python -m loadtests.studies.guardrails [--json]`.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from loadtests.studies.simulation import LOOK_S, LOOKS_PER_BUCKET, NEVER, Course, Floats, Outcome, play

SEED = 20_261_123
ALPHA = 0.01
RUNS = 2000
LOOKS = 1000
"""100,000 requests."""
SUMS_ADDED_S = 0.5
SWAPPED_S = 0.3
MEDIAN_S, SLOWEST_S = 3.0, 6.0
TIMES_THEORY = 1.5
_ROLLOUT = (0.01, 0.05, 0.25, 0.5)


@dataclass(frozen=True)
class Finding:
    """One figure and its limit. Times are in seconds, all other figures are ratios."""

    promise: str
    case: str
    measured: float
    at_most: float

    @property
    def met(self) -> bool:
        """True if the promise was kept."""
        return self.measured <= self.at_most


def main(
    runs: Annotated[int, typer.Option(min=1, help="Number of canaries to simulate in each case.")] = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Simulate canaries under guardrails. The exit code is 1 if a promise is not kept."""
    findings = list(measure(runs, ALPHA, SEED))
    if as_json:
        rows = [asdict(finding) | {"met": finding.met} for finding in findings]
        print(json.dumps({"seed": SEED, "runs": runs, "alpha": ALPHA, "findings": rows}, indent=2))  # noqa: T201 - for pipes
    else:
        _print(findings, runs)
    if not all(finding.met for finding in findings):
        raise typer.Exit(1)


def measure(
    runs: int, alpha: float, seed: int, looks: int = LOOKS, good_s: tuple[int, ...] = (0, 120, 1800)
) -> Iterator[Finding]:
    """Yield all findings.

    A canary without fault is watched for `looks` looks. Other canaries are good for `good_s` seconds, then bad.
    """
    rng = np.random.default_rng(seed)
    for case, course, worse in _without_fault(looks):
        outcome = play(course, runs, alpha, rng, worse=worse)
        wrong = "not wrongly aborted" if worse else "not wrongly found healthy"
        yield Finding(wrong, case, float((outcome.look != NEVER).mean()), alpha)
    for margin in (0.0, 0.01):
        for share in (0.05, 0.5):
            yield from _sample_size(margin, share, runs, alpha, rng)
        for seconds in good_s:
            yield from _detection(margin, seconds, runs, alpha, rng)


def _without_fault(looks: int) -> Iterator[tuple[str, Course, bool]]:
    """Yield courses on which the null hypothesis is true, mostly at its boundary. `True` tests for "worse"."""

    def drifting(look: int) -> float:
        """Return a rate between 0.5 % and 5 %, with a period of a minute."""
        return 0.0275 + 0.0225 * math.sin(2 * math.pi * look * LOOK_S / 60)

    def ramping(look: int) -> float:
        return _ROLLOUT[look * len(_ROLLOUT) // looks]

    for share in (0.05, 0.5):
        for margin, worse_by in ((0.01, 0.0), (0.01, 0.01), (0.0, 0.0)):
            case = f"{1 + 100 * worse_by:g}% beside 1%, margin {100 * margin:g}%, share {100 * share:g}%"
            yield case, steady(looks, margin, share, 0.01 + worse_by, 0.01), True
        yield (
            f"2% beside 1%, margin 1%, share {100 * share:g}%",
            steady(looks, 0.01, share, 0.02, 0.01),
            False,
        )
    for busy in (0.2, 5.0):
        course = steady(looks, 0.0, 0.05, 0.01, 0.01)
        yield f"1% beside 1%, margin 0%, 5% of units, {busy:g} times as busy", replace(course, busy=busy), True
    for margin in (0.0, 0.01):

        def worse(look: int, margin: float = margin) -> float:
            return drifting(look) + margin

        at = f"worse by the margin of {100 * margin:g}%"
        yield f"drifting together, {at}, share 5%", Course(looks, margin, lambda _: 0.05, worse, drifting), True
        yield f"drifting together, {at}, share 1% to 50%", Course(looks, margin, ramping, worse, drifting), True


def steady(looks: int, margin: float, share: float, rate: float, other_rate: float) -> Course:
    """Return a course on which nothing changes."""
    return Course(looks, margin, lambda _: share, lambda _: rate, lambda _: other_rate)


def _sample_size(margin: float, share: float, runs: int, alpha: float, rng: np.random.Generator) -> Iterator[Finding]:
    """Measure the requests until 3 % beside 1 % is found, as a multiple of those needed if both rates were known."""
    theory = -math.log(alpha) / growth(share, margin, 0.03, 0.01)
    looks = math.ceil(20 * theory / share / 100)
    outcome = play(steady(looks, margin, share, 0.03, 0.01), runs, alpha, rng)
    case = f"3% beside 1%, margin {100 * margin:g}%, share {100 * share:g}%: {{}} of requests / {theory:.0f}"
    for name, requests in (("median", np.median(outcome.requests)), ("mean", outcome.requests.mean())):
        yield Finding("found with the theory's sample size", case.format(name), float(requests) / theory, TIMES_THEORY)


def _detection(margin: float, good_s: int, runs: int, alpha: float, rng: np.random.Generator) -> Iterator[Finding]:
    """Measure the seconds until a canary's weight is zero on every replica.

    The canary gets 5 % of the requests, and its error rate goes from 0.1 % to 50 %.
    """
    good_looks = round(good_s / LOOK_S)
    # The change may be anywhere between two looks, and anywhere in a bucket.
    change = good_looks + (rng.integers(0, LOOKS_PER_BUCKET, runs) if good_s else np.zeros(runs, dtype=np.int64))
    part = rng.uniform(0, 1, runs) if good_s else np.zeros(runs)
    bad, good = 0.5, 0.001

    def rate(look: int) -> Floats:
        return np.where(look > change, bad, np.where(look == change, part * good + (1 - part) * bad, good))

    course = Course(good_looks + 220, margin, lambda _: 0.05, rate, lambda _: good)
    outcome = play(course, runs, alpha, rng, from_look=good_looks)
    seconds = _seconds(outcome, change + part)
    case = f"0.1% to 50%, margin {100 * margin:g}%, after {good_s} s of being good: {{}}, s"
    yield Finding("stopped in seconds", case.format("median"), float(np.median(seconds)), MEDIAN_S)
    yield Finding("stopped in seconds", case.format("95 %"), float(np.quantile(seconds, 0.95)), SLOWEST_S)


def _seconds(outcome: Outcome, change: Floats) -> Floats:
    """Return the seconds from the change to weight zero, of the runs not stopped before. NEVER becomes infinity."""
    looked = np.where(outcome.look == NEVER, np.inf, outcome.look + 1.0)
    return (looked[looked > change] - change[looked > change]) * LOOK_S + SUMS_ADDED_S + SWAPPED_S


def growth(share: float, margin: float, rate: float, other_rate: float) -> float:
    """Return the fastest possible growth of an e-process's log, per request of the candidate, on average.

    It is the Kullback-Leibler divergence from the true distribution of (arm, event) to the nearest one that is "not
    worse".
    """
    low, high = sorted((other_rate, max(rate - margin, 1e-9)))
    null = np.linspace(low, high, 100_001)
    divergence = _divergence(rate, null + margin) + (1 - share) / share * _divergence(other_rate, null)
    return float(divergence.min())


def _divergence(p: float, q: Floats) -> Floats:
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def _print(findings: list[Finding], runs: int) -> None:
    table = Table("promise", "case", "measured", "at most", "met", box=None)
    for finding in findings:
        met = "yes" if finding.met else "NO"
        table.add_row(finding.promise, finding.case, f"{finding.measured:.4g}", f"{finding.at_most:g}", met)
    Console(width=160).print(table)
    print(f"{runs} runs each, seed {SEED}, alpha {ALPHA:g}.")  # noqa: T201 - a line under the table


if __name__ == "__main__":
    typer.run(main)
