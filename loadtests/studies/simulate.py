"""What `pointsman simulate` predicts, beside what bandits then earn.

`python -m loadtests.studies.simulate [--json]`: logs of an even split over arms that are right as often as classifiers
of digits are. From each log the reward of three bandits is predicted. Then each bandit is run many times on decisions
of its own, as many as a run of the simulation takes. A prediction is right if the mean reward of these runs lies within
its interval. Last, a bandit whose first weights are on an arm that the log hardly tried must be refused. The exit code
is 1 if a promise is not kept.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import fmean, stdev
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from analysis.errors import AnalysisRefused
from analysis.simulate.logged import Logged
from analysis.simulate.simulate import simulate_rows
from analysis.simulate.usable import Usable
from gateway.cli.simulate import learner
from router.document.apply import apply
from router.document.commands import Declare
from router.document.learned import LearnedPolicy, with_learned
from router.draw.assignment import BUCKETS
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum
from router.spec.parse import parse_spec
from router.spec.spec import RouteSpec

SEED = 20_261_130
RATES = {"forest": 0.96, "logistic": 0.93, "tree": 0.82, "bayes": 0.77}
BEGAN_S, LENGTH_S = 1_000_000, 10
TIME_BUCKETS, DECISIONS = 120, 200
SIMULATED_RUNS = 3
LEAST_RIGHT = 0.90
"""Intervals are of 95 %, so of few logs this share of them at least is promised to be right."""

POLICIES: Mapping[str, object] = {
    "thompson": "thompson",
    "epsilon-greedy": {"epsilon-greedy": {"epsilon": 0.2}},
    "softmax": {"softmax": {"temperature": 0.05}},
}
EVEN = (0.25, 0.25, 0.25, 0.25)
HARDLY_TRIED = (0.002, 0.333, 0.333, 0.332)


def main(
    logs: Annotated[int, typer.Option(min=2, help="Logs from which each bandit is predicted.")] = 20,
    runs: Annotated[int, typer.Option(min=2, help="Runs of each bandit.")] = 60,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Predict three bandits, and run them. The exit code is 1 if a promise is not kept."""
    with ProcessPoolExecutor(workers) as pool:
        figures = []
        for name in POLICIES:
            earned = list(_play(pool.map(partial(run_bandit, name), range(runs)), runs, f"{name} runs"))
            predicted = list(_play(pool.map(partial(predict, name), range(logs)), logs, f"{name} is predicted"))
            figures.append(_figure(name, earned, predicted))
    refused = refusal()
    met = all(figure["right"] >= LEAST_RIGHT * logs for figure in figures) and bool(refused)
    if as_json:
        print(json.dumps({"seed": SEED, "figures": figures, "refused": refused, "met": met}, indent=2))  # noqa: T201
    else:
        _print(figures, refused)
    raise typer.Exit(0 if met else 1)


def spec_of(policy: object, **more: object) -> RouteSpec:
    """Return the declaration of a bandit with this policy."""
    return parse_spec({
        "route": "digits", "arms": {arm: f"{arm}:1" for arm in RATES}, "metrics": {"right": {"window": "1m"}},
        "bandit": {"policy": policy, "reward": "right", "floor": "1%", **more},
    })  # fmt: skip


def logged(propensities: tuple[float, ...], seed: int) -> Iterator[Logged]:
    """Yield the decisions of a split with these weights, by time bucket."""
    rng, rates, shares = np.random.default_rng((SEED, 1, seed)), np.array(list(RATES.values())), np.array(propensities)
    for bucket in range(TIME_BUCKETS):
        arms = rng.choice(len(rates), DECISIONS, p=shares)
        is_right = rng.random(DECISIONS) < rates[arms]
        decided_us = 1_000_000 * (BEGAN_S + LENGTH_S * bucket) + np.sort(rng.integers(0, 10_000_000, DECISIONS))
        least = np.full(DECISIONS, shares.min())
        groups = np.full(DECISIONS, NO_GROUP)
        yield Logged(
            decided_us,
            arms,
            shares[arms],
            least,
            MILLION * is_right,
            is_right,
            groups,
            np.empty((DECISIONS, 0), np.int64),
        )


def predict(policy: str, seed: int) -> tuple[float, float, float]:
    """Return what is predicted from one log, and the two ends of its interval."""
    found = _simulated(spec_of(POLICIES[policy]), EVEN, seed)
    return found.predicted, found.low, found.high


def _simulated(spec: RouteSpec, propensities: tuple[float, ...], seed: int) -> Any:
    usable = Usable(TIME_BUCKETS * DECISIONS, BEGAN_S, BEGAN_S + LENGTH_S * TIME_BUCKETS)
    rows = logged(propensities, seed)
    return simulate_rows(rows, usable, spec, learner(spec), lambda *_: None, runs=SIMULATED_RUNS)


def run_bandit(policy: str, seed: int, decisions: int = DECISIONS // len(RATES)) -> float:
    """Return the mean reward of one run of a bandit, with so many decisions in each time bucket."""
    spec = spec_of(POLICIES[policy])
    learn, document = learner(spec), apply(None, Declare(spec, float(BEGAN_S)))
    rng = np.random.default_rng((SEED, 2, seed))
    known: LearnedPolicy | None = None
    sums: dict[RewardKey, RewardSum] = {}
    right = 0
    for bucket in range(TIME_BUCKETS):
        now_s = BEGAN_S + LENGTH_S * bucket
        policy_now = learn(document, known, sums, {}, float(now_s))
        if policy_now is not None:
            known, document = policy_now, with_learned(document, policy_now)
        drawn = rng.multinomial(decisions, [document.weights[arm] / BUCKETS for arm in RATES])
        rewarded = rng.binomial(drawn, list(RATES.values()))
        right += int(rewarded.sum())
        for arm, count, more in zip(RATES, drawn.tolist(), rewarded.tolist(), strict=True):
            key = RewardKey(now_s, LENGTH_S, 1, arm, "", "right", NO_GROUP)
            sums[key] = RewardSum(count, more, more * MILLION, more * MILLION)
    return right / (TIME_BUCKETS * decisions)


def refusal() -> str:
    """Return the sentence that refuses a bandit which begins with an arm that the log hardly tried; empty if none."""
    first = {arm: "100%" if arm == "forest" else "0%" for arm in RATES}
    spec = spec_of("thompson", **{"from": first, "burn_in": 1_000_000})
    try:
        _simulated(spec, HARDLY_TRIED, 0)
    except AnalysisRefused as error:
        return str(error)
    return ""


def _figure(name: str, earned: list[float], predicted: list[tuple[float, float, float]]) -> dict[str, Any]:
    truth, error = fmean(earned), stdev(earned) / len(earned) ** 0.5
    right = sum(low - 2 * error <= truth <= high + 2 * error for _, low, high in predicted)
    return {
        "policy": name,
        "earned": truth,
        "error": error,
        "predicted": fmean(value for value, _, _ in predicted),
        "spread": stdev(value for value, _, _ in predicted),
        "half_width": fmean((high - low) / 2 for _, low, high in predicted),
        "right": right,
        "logs": len(predicted),
    }


def _play(results: Iterator[Any], total: int, what: str) -> Iterator[Any]:
    yield from track(results, what, total=total, console=Console(stderr=True), transient=True)


def _print(figures: list[dict[str, Any]], refused: str) -> None:
    table = Table("policy", "earned", "± error", "predicted", "spread", "half interval", "right", box=None)
    for each in figures:
        numbers = [f"{each[name]:.4f}" for name in ("earned", "error", "predicted", "spread", "half_width")]
        table.add_row(each["policy"], *numbers, f"{each['right']} of {each['logs']}")
    console = Console(width=160)
    console.print(table)
    console.print(f"Refused: {refused or 'NOTHING'}")


if __name__ == "__main__":
    typer.run(main)
