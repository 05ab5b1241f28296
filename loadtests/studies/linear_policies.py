"""Contextual policies with linear arms: how often they choose a wrong arm, and how long a request waits for them.

`python -m loadtests.studies.linear_policies` lets each policy classify the data sets of scikit-learn: a class is an
arm, the reward is 1 for the right one, the models are refitted after each decision, and the loss is the share of wrong
arms in one pass (Bietti, Agarwal, Langford, "A contextual bandit bake-off", 2021, call it progressive). Then it
measures the time of the steps of a request, and that of other ways to score. The exit code is 1 if a target is missed.
"""

import json
import time
from collections.abc import Callable, Sequence
from operator import mul
from statistics import fmean, median
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn import datasets

from bandits.linear.context import Context, Number
from bandits.linear.policies.epsilon_greedy import LinearEpsilonGreedy
from bandits.linear.policies.linucb import LinUCB
from bandits.linear.policies.square_cb import SquareCB
from bandits.linear.policies.thompson import LinearThompson
from bandits.linear.policy import ContextualPolicy
from bandits.linear.scorer import Scorer
from bandits.linear.solve import Bucket, solve
from bandits.linear.sums import MILLION, combine, exposure, nothing

POLICIES: dict[str, ContextualPolicy] = {
    "LinUCB alpha=.25": LinUCB(0.25),
    "LinUCB alpha=1": LinUCB(1.0),
    "Thompson v=.1": LinearThompson(0.1),
    "epsilon=.05": LinearEpsilonGreedy(0.05),
    "SquareCB gamma=100": SquareCB(100.0),
}
DATA_SETS = ("digits", "breast_cancer", "wine", "iris")
TARGETS = {("LinUCB alpha=.25", "digits"): 0.16, ("LinUCB alpha=.25", "breast_cancer"): 0.055}
MOST_US = 150.0
_REPEATS = 2000


class Classes(NamedTuple):
    """A data set as contexts and the class of each."""

    context: Context
    vectors: list[tuple[int, ...]]
    labels: list[int]


def main(
    seeds: Annotated[int, typer.Option(help="Orders of the rows in which each data set is passed.")] = 5,
    only: Annotated[list[str] | None, typer.Option(help="Data sets; all if none is named.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure losses and times."""
    losses: list[dict[str, Any]] = []
    for name in only or DATA_SETS:
        data = load(name)
        for policy in POLICIES:
            runs = [loss(data, POLICIES[policy], seed) for seed in _progress(seeds, f"{name}, {policy}")]
            losses.append({"data": name, "policy": policy, "loss": round(fmean(runs), 4), "seeds": seeds})
    times = [_times(size) for size in (16, 64)]
    figures = {"losses": losses, "times_us": times}
    if as_json:
        print(json.dumps(figures))  # noqa: T201  # the command's output
    else:
        _print(figures)
    is_met = all(each["loss"] <= TARGETS.get((each["policy"], each["data"]), 1.0) for each in losses)
    raise typer.Exit(0 if is_met and times[0]["whole median"] <= MOST_US else 1)


def load(name: str) -> Classes:
    """Return a data set of scikit-learn. Each column that varies is a number, from its least to its greatest value."""
    data = getattr(datasets, f"load_{name}")()
    rows = data.data[:, data.data.min(0) < data.data.max(0)]
    lows, highs = rows.min(0).tolist(), rows.max(0).tolist()
    columns = [Number(f"x{i}", low, high, low) for i, (low, high) in enumerate(zip(lows, highs, strict=True))]
    context = Context(tuple(columns))
    return Classes(context, [context.encode(row) for row in rows.tolist()], data.target.tolist())


def loss(data: Classes, policy: ContextualPolicy, seed: int, *, refit_every: int = 1) -> float:
    """Return the share of wrong arms in one pass, whose order and draws follow from the seed."""
    size, arms = len(data.context.features), max(data.labels) + 1
    rng = np.random.default_rng(seed)
    sums = [nothing(size)] * arms
    models = [solve([], size)] * arms
    scorer = Scorer(models, size, with_spreads=policy.needs_spreads)
    changed, wrong = set[int](), 0
    for count, row in enumerate(rng.permutation(len(data.labels)).tolist(), 1):
        vector = data.vectors[row]
        arm = _draw(policy.weights(scorer.scores(vector)), rng.random())
        reward = MILLION * (arm == data.labels[row])
        wrong += not reward
        sums[arm] = combine([sums[arm], exposure(vector, reward)], size)
        changed.add(arm)
        if count % refit_every == 0:
            models = [solve([Bucket(sums[a])], size) if a in changed else models[a] for a in range(arms)]
            scorer = Scorer(models, size, with_spreads=policy.needs_spreads)
            changed.clear()
    return wrong / len(data.labels)


def _draw(weights: Sequence[float], number: float) -> int:
    return min(int(np.searchsorted(np.cumsum(weights), number, side="right")), len(weights) - 1)


def _times(size: int) -> dict[str, float]:
    """Return the median and the 99th percentile of the steps of a request with four arms, in microseconds."""
    rng = np.random.default_rng(size)
    context = Context(tuple(Number(f"x{i}", 0, 1, 0) for i in range(size - 1)))
    rows = rng.random((4 * 200, size - 1)).tolist()
    models = []
    for arm in range(4):
        seen = [exposure(context.encode(row), int(rng.random() < 0.5) * MILLION) for row in rows[arm::4]]
        models.append(solve([Bucket(combine(seen, size))], size))
    scorer, policy = Scorer(models, size, with_spreads=True), LinearThompson(0.3)
    means_only = Scorer(models, size, with_spreads=False)
    vectors = [context.encode(row) for row in rows]
    scores = [scorer.scores(vector) for vector in vectors]
    whole_numbers = rng.integers(-(2**40), 2**40, (4 * (size + 1), size))
    matrix, lists = whole_numbers.astype(np.float64), whole_numbers.tolist()
    steps: dict[str, Callable[[int], object]] = {
        "encode": lambda i: context.encode(rows[i]),
        "scores": lambda i: scorer.scores(vectors[i]),
        "scores without spreads": lambda i: means_only.scores(vectors[i]),
        "Thompson": lambda i: policy.weights(scores[i]),
        "whole": lambda i: policy.weights(scorer.scores(context.encode(rows[i]))),
        "products: 64-bit integers": lambda i: whole_numbers @ np.array(vectors[i], np.int64),
        "products: BLAS": lambda i: matrix @ np.array(vectors[i], np.float64),
        "products: Python integers": lambda i: [sum(map(mul, row, vectors[i])) for row in lists],
    }
    taken: dict[str, list[int]] = {step: [] for step in steps}
    for repeat in range(_REPEATS):
        for step, call in steps.items():
            begin = time.perf_counter_ns()
            call(repeat % len(rows))
            taken[step].append(time.perf_counter_ns() - begin)
    figures = {"features": float(size)}
    for step, values in taken.items():
        figures[f"{step} median"] = round(median(values) / 1000, 1)
        figures[f"{step} p99"] = round(sorted(values)[len(values) * 99 // 100] / 1000, 1)
    return figures


def _progress(seeds: int, what: str) -> Any:
    return track(range(seeds), what, console=Console(stderr=True), transient=True)


def _print(figures: dict[str, Any]) -> None:
    for row in figures["losses"]:
        Console().print(*row.values())
    table = Table("microseconds", *(str(each["features"]) for each in figures["times_us"]))
    for name in list(figures["times_us"][0])[1:]:
        table.add_row(name, *(str(each[name]) for each in figures["times_us"]))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
