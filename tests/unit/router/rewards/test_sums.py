"""Sums of rewards: what a decision and its rewards add, in integers."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.rewards.events import Operation, Report
from router.rewards.sums import (
    MILLION,
    RewardSum,
    combine,
    difference,
    exposure,
    in_units,
    merge_sums,
    millionths,
)
from router.spec.metric import Aggregate, MetricSpec
from tests.support.metric_specs import metric_specs, values
from tests.support.rewards import clicks, reward_key

CLICK = MetricSpec("click", 60.0)
REVENUE = MetricSpec("revenue", 60.0, -100.0, 300.0, 100.0, Aggregate.SUM)
NET = MetricSpec("net", 60.0, -1.0, 1.0, formula="click - 0.1 * latency_ms", parts=("click", "latency_ms"))
WAS = MetricSpec("was", 60.0, is_label=True)
METRICS = (CLICK, REVENUE, NET, WAS)


def events(*reported: float) -> dict[str, Report]:
    return {str(at): Report(Operation.ADD, at, value) for at, value in enumerate(reported)}


def test_a_decision_begins_with_the_default():
    assert exposure(CLICK, METRICS, 3000) == RewardSum(1, 0, 0, 0)
    assert exposure(REVENUE, METRICS, 3000) == RewardSum(1, 0, 500_000, 250_000)  # 100 is the middle of -100 to 300
    assert exposure(NET, METRICS, 3000) == RewardSum(1, 0, 350_000, 122_500)  # -0.3 of -1 to 1
    assert exposure(NET, METRICS, 3_000_000) == RewardSum(1, 0, 0, 0)  # below the range


def test_a_reward_adds_the_difference_also_to_formulas():
    assert difference(METRICS, {}, {"click": events(1.0)}, 3000) == {
        "click": RewardSum(0, 1, 1_000_000, 1_000_000),
        "net": RewardSum(0, 1, 500_000, 850_000**2 // MILLION - 122_500),
    }
    assert difference(METRICS, {}, {"revenue": events(150.0, 900.0)}, 3000) == {  # the sum is brought into the range
        "revenue": RewardSum(0, 1, 500_000, 750_000)
    }
    assert difference(METRICS, {}, {"was": {"1": Report(Operation.ADD, 0, "fraud")}}, 3000) == {}
    assert difference(METRICS, {"click": events(1.0)}, {"click": events(1.0, 1.0)}, 3000) == {}


def test_a_retraction_adds_what_was_added_before_with_the_other_sign():
    before = {"click": events(1.0), "revenue": events(5.0)}
    after = {"click": {"0": Report(Operation.RETRACT, 0, 1.0)}, "revenue": events(5.0)}
    there, back = difference(METRICS, after, before, 0), difference(METRICS, before, after, 0)
    assert set(there) == set(back) == {"click", "net"}
    assert all(combine(there[name], back[name]) == RewardSum(0, 0, 0, 0) for name in there)


def test_a_reward_that_is_the_default_counts_as_rewarded():
    assert difference(METRICS, {}, {"click": events(0.0)}, 0) == {
        "click": RewardSum(0, 1, 0, 0),
        "net": RewardSum(0, 1, 0, 0),
    }


outcomes = st.dictionaries(
    st.sampled_from([0, 1, 2, 3, 4, 5]),
    st.dictionaries(
        st.sampled_from("abc"),
        st.builds(Report, st.sampled_from(Operation), st.integers(0, 9), values),
        max_size=3,
    ),
)


@given(metric_specs(least=1), st.lists(outcomes, max_size=5), st.integers(0, 60_000_000))
@settings(max_examples=200)
def test_what_was_added_on_the_way_is_what_the_last_outcomes_give(metrics, steps, latency_us):
    """Each metric's sum of one decision is the square of its value, and within the range, at every step."""
    states = [{}]
    for step in steps:
        named = {metrics[at].name: each for at, each in step.items() if at < len(metrics) and not metrics[at].formula}
        states.append(states[-1] | {name: states[-1].get(name, {}) | each for name, each in named.items()})
    for metric in metrics:
        if metric.is_label:
            continue
        held = exposure(metric, metrics, latency_us)
        for before, after in pairwise(states):
            added = difference(metrics, before, after, latency_us)
            held = combine(held, added.get(metric.name, RewardSum(0, 0, 0, 0)))
            assert held.decisions == 1
            assert held.rewarded in (0, 1)
            assert 0 <= held.total <= MILLION
            assert held.squares == held.total**2 // MILLION
        at_once = difference(metrics, {}, states[-1], latency_us).get(metric.name, RewardSum(0, 0, 0, 0))
        assert held == combine(exposure(metric, metrics, latency_us), at_once)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-100.0, 0), (-100.1, 0), (-1e300, 0), (300.0, 1_000_000), (1e300, 1_000_000), (100.0, 500_000), (0.0, 250_000)],
)
def test_values_count_in_millionths_of_the_range(value, expected):
    assert millionths(value, REVENUE) == expected


@given(st.sampled_from([CLICK, REVENUE, NET]), st.floats(0, 1))
def test_a_share_of_the_range_is_a_value_and_back(metric, share):
    assert abs(millionths(in_units(share, metric), metric) - MILLION * share) <= 1


def test_sums_of_two_additions_are_added_up_by_route():
    one, two, other = reward_key(0), reward_key(10), reward_key(20)
    first = {"a": {one: clicks(1), two: clicks(2)}, "b": {one: clicks(3)}}
    second = {"a": {two: clicks(5), other: clicks(7)}, "c": {one: clicks(9)}}
    expected = {
        "a": {one: clicks(1), two: clicks(7), other: clicks(7)},
        "b": {one: clicks(3)},
        "c": {one: clicks(9)},
    }
    assert merge_sums(first, second) == merge_sums(second, first) == expected
    assert first == {"a": {one: clicks(1), two: clicks(2)}, "b": {one: clicks(3)}}
