"""The test of the sample ratio: what is counted, and that it is not deceived by weights that move."""

import math
from itertools import product

import numpy as np
import pytest

from router.evidence.sample_ratio import ALPHA, Draws, draws_of, ratio_evidence, ratio_p_value
from router.evidence.sums import EXPECTED, EXPECTED_SQUARED, LEFT, REQUESTS, SumKey


def key(arm: str, name: str, version: int = 1, model_version: str = "") -> SumKey:
    return SumKey(0, version, arm, model_version, "", name)


def looked_at(rng: np.random.Generator, requests: int, *, lost: float = 0.0) -> list[float]:
    """Return the p-value after every hundred requests. The weights follow what was drawn before.

    Of the requests of arm b, the share `lost` is not counted.
    """
    slots, draws, p_values = 5_000, {arm: Draws(0, 0.0, 0.0) for arm in "ab"}, []
    for number in range(requests):
        weight, is_b, is_lost = slots / 10_000, rng.random() < slots / 10_000, rng.random() < lost
        slots = min(max(slots + (-300 if is_b else 300), 200), 9_800)
        for arm, of_arm, of_draw in (("a", 1 - weight, not is_b), ("b", weight, is_b)):
            if not (is_b and is_lost):
                seen = draws[arm]
                draws[arm] = Draws(seen.drawn + of_draw, seen.expected + of_arm, seen.variance + weight * (1 - weight))
        if number % 100 == 99:
            p_values.append(ratio_p_value(draws))
    return p_values


def test_weights_that_move_are_no_mismatch_at_any_look():
    """Of 200 runs with 20 looks each, at most 5 % may be below 5 % at any look."""
    rng = np.random.default_rng(5)
    below = sum(min(looked_at(rng, 2_000)) < 0.05 for _ in range(200))
    assert below <= 10


def test_requests_that_are_lost_are_found():
    assert looked_at(np.random.default_rng(6), 10_000, lost=0.15)[-1] < ALPHA


def test_the_evidence_is_fair_on_average_over_every_outcome():
    """The second weight depends on the first draw."""
    mean = 0.0
    for first, second in product((True, False), repeat=2):
        weights = 0.3, 0.9 if first else 0.05
        chance = (0.3 if first else 0.7) * (weights[1] if second else 1 - weights[1])
        variance = sum(weight * (1 - weight) for weight in weights)
        of_b = Draws(first + second, sum(weights), variance)
        of_a = Draws(2 - of_b.drawn, 2 - of_b.expected, variance)
        mean += chance * math.exp(ratio_evidence({"a": of_a, "b": of_b}))
    assert 0.9 < mean <= 1 + 1e-9


def test_a_known_mismatch_of_a_split_is_found_and_a_small_one_is_not():
    """The first numbers have a chi-squared p-value of 1.8e-6."""
    split = {1: {"a": 5_000, "b": 5_000}}
    for counted, is_found in (((821_588, 815_482), True), ((501_000, 500_000), False)):
        totals = {key(arm, REQUESTS): count for arm, count in zip("ab", counted, strict=True)}
        draws = draws_of(totals, split)
        assert draws["a"] == (counted[0], sum(counted) / 2, sum(counted) / 4)
        assert (ratio_p_value(draws) < ALPHA) is is_found


def test_an_arm_without_weight_gets_no_request():
    draws = draws_of({key("a", REQUESTS): 500, key("b", REQUESTS): 20}, {1: {"a": 10_000, "b": 0}})
    assert draws["b"] == (20, 0.0, 0.0)
    assert ratio_p_value(draws) < ALPHA


def test_versions_are_added_up_and_callers_that_left_were_drawn_too():
    totals = {
        key("a", REQUESTS, 1, "7"): 60, key("a", LEFT, 1, "7"): 10, key("b", REQUESTS, 1, "8"): 30,
        key("a", REQUESTS, 2, "7"): 5, key("b", REQUESTS, 2, "8"): 3, key("b", REQUESTS, 2, "9"): 2,
        key("a", "errors", 1, "7"): 3, key("a", REQUESTS, 3, "7"): 900,
    }  # fmt: skip
    draws = draws_of(totals, {1: {"a": 7_000, "b": 3_000}, 2: {"a": 5_000, "b": 5_000}})
    assert draws["a"] == (75, 75.0, pytest.approx(100 * 0.21 + 10 * 0.25))
    assert draws["b"] == (35, 35.0, pytest.approx(100 * 0.21 + 10 * 0.25))


def test_of_a_bandit_the_weights_that_were_in_force_count():
    weights = [2_000] * 50 + [9_000] * 50
    totals = {
        key("a", REQUESTS): 45, key("b", REQUESTS): 55,
        key("b", EXPECTED): sum(weights), key("a", EXPECTED): sum(10_000 - each for each in weights),
        key("b", EXPECTED_SQUARED): sum(each**2 for each in weights),
        key("a", EXPECTED_SQUARED): sum((10_000 - each) ** 2 for each in weights),
    }  # fmt: skip
    declared = {1: {"a": 9_900, "b": 100}}
    draws = draws_of(totals, declared)
    assert draws["b"] == (55, 55.0, pytest.approx(50 * 0.16 + 50 * 0.09))
    assert ratio_p_value(draws) == 1.0
    assert draws_of(totals | {key("a", REQUESTS): 46}, declared) == {}, "of one request the weights are not known"


def test_without_requests_nothing_is_said():
    assert draws_of({}, {}) == {}
    assert ratio_p_value({}) == 1.0
