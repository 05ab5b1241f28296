"""Eppo's public test cases through our contexts, scores and SquareCB: the same arm for every subject."""

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from bandits.linear.context import Category, Context, Number
from bandits.linear.model import quantised
from bandits.linear.policies.square_cb import SquareCB
from bandits.linear.scorer import Scorer, Scores

CASES = json.loads((Path(__file__).parents[1] / "data" / "eppo.json").read_text())
RANGES = {"brand_affinity": (-5, 20), "account_age": (0, 30), "speed": (0, 1024)}
SUBJECTS = CASES["subjects"]


def score(arm: dict[str, Any], values: dict[str, Any]) -> float:
    """Return the score of an arm as we compute it: a context, the coefficients of its features, integers."""
    columns: list[Number | Category] = []
    theta, row = [arm["intercept"]], []
    for name, (slope, missing) in arm["numbers"].items():
        low, high = RANGES[name]
        columns.append(Number(name, low, high))
        theta[0] += slope * low
        theta += [slope * (high - low), missing - slope * low]
        row.append(values.get(name))
    for name, (words, other) in arm["categories"].items():
        columns.append(Category(name, tuple(words)))
        theta += [*words.values(), other, other]
        row.append(values.get(name))
    context = Context(tuple(columns))
    size = len(context.features)
    model = quantised(theta, [[1.0] * (place + 1) for place in range(size)])
    return Scorer([model], size, with_spreads=False).scores(context.encode(row)).means[0]


def score_by_hand(arm: dict[str, Any], values: dict[str, Any]) -> float:
    """Return the score of an arm as Eppo's documentation defines it."""
    total: float = arm["intercept"]
    for name, (slope, missing) in arm["numbers"].items():
        total += missing if values.get(name) is None else slope * values[name]
    for name, (words, other) in arm["categories"].items():
        total += words.get(str(values.get(name)), other)
    return total


def shard(*parts: str) -> int:
    return int(md5("-".join(parts).encode(), usedforsecurity=False).hexdigest()[:8], 16) % 10_000


def weights(subject: dict[str, Any]) -> dict[str, float]:
    """Return the weights of the arms. Their floor is not ours: it cuts off, and the best arm pays."""
    bandit = CASES["bandits"][subject["bandit"]]
    arms = sorted(subject["actions"])
    means = [
        score(bandit["arms"][name], subject["values"] | subject["actions"][name])
        if name in bandit["arms"]
        else bandit["default_score"]
        for name in arms
    ]
    found = dict(zip(arms, SquareCB(bandit["gamma"]).weights(Scores(tuple(means), ())), strict=True))
    best = arms[means.index(max(means))]
    raised = {name: max(weight, bandit["floor"] / len(arms)) for name, weight in found.items() if name != best}
    return raised | {best: 1 - sum(raised.values())}


def chosen(subject: dict[str, Any]) -> str:
    """Return the arm that lies where the subject's hash falls."""
    flag, key = subject["flag"], subject["subject"]
    place, end = shard(flag, key) / 10_000, 0.0
    for name, weight in sorted(weights(subject).items(), key=lambda item: (shard(flag, key, item[0]), item[0])):
        end += weight
        if end > place:
            return name
    raise AssertionError("the weights do not sum to 1")


def test_all_cases_are_there():
    assert len(SUBJECTS) == 19
    assert {subject["bandit"] for subject in SUBJECTS} == set(CASES["bandits"])


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: f"{subject['flag']} {subject['subject']}")
def test_the_subject_gets_the_arm_that_eppo_gives(subject):
    assert chosen(subject) == subject["chosen"]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: f"{subject['flag']} {subject['subject']}")
def test_scores_are_those_of_the_coefficients(subject):
    for name, arm in CASES["bandits"][subject["bandit"]]["arms"].items():
        values = subject["values"] | subject["actions"].get(name, {})
        # A step of a number is 1/8192 of its range, so half a step of 25 with a slope of 2 is .0031.
        assert score(arm, values) == pytest.approx(score_by_hand(arm, values), abs=0.0035)
