"""The events of a decision: their order and their repetition do not matter."""

import random
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.rewards.events import Operation, Report, aggregate, merge, says_the_same
from router.spec.metric import Aggregate

ADD, SET, RETRACT = Operation.ADD, Operation.SET, Operation.RETRACT

times_us = st.integers(0, 3) | st.integers(0, 2_000_000_000_000_000)
numbers = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(-1e12, 1e12)
reports = st.builds(Report, st.sampled_from(Operation), times_us, numbers)
labels = st.builds(Report, st.sampled_from(Operation), times_us, st.text(max_size=2))


@given(st.tuples(reports, reports, reports) | st.tuples(labels, labels, labels))
@settings(max_examples=300)
def test_merging_is_commutative_associative_and_idempotent(three):
    one, two, other = three
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), other) == merge(one, merge(two, other))
    assert merge(one, one) == one == merge(None, one)
    assert merge(merge(one, two), two) == merge(one, two)
    assert merge(one, two) in (one, two)


@given(st.lists(reports, min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_any_order_and_repetition_of_reports_gives_the_same(all_reports, chance: random.Random):
    shuffled = [each for each in all_reports for _ in range(chance.randint(1, 3))]
    chance.shuffle(shuffled)
    assert reduce(merge, shuffled) == reduce(merge, all_reports)


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        (Report(ADD, 5, 1.0), Report(SET, 1, 0.0)),
        (Report(SET, 5, 1.0), Report(RETRACT, 9, 0.0)),
        (Report(ADD, 5, 1.0), Report(RETRACT, 1, 0.0)),
        (Report(ADD, 9, 1.0), Report(ADD, 5, 0.0)),  # the earlier of two that were added
        (Report(SET, 5, 1.0), Report(SET, 9, 0.0)),  # the later of two that were set
        (Report(ADD, 5, 0.0), Report(ADD, 5, 1.0)),
        (Report(SET, 5, 0.0), Report(SET, 5, 1.0)),
        (Report(SET, 5, "bad"), Report(SET, 5, "good")),
    ],
)
def test_of_two_reports_one_is_known_afterwards(weaker, stronger):
    assert merge(weaker, stronger) == merge(stronger, weaker) == stronger


def test_a_report_that_repeats_another_says_the_same():
    assert says_the_same(Report(ADD, 5, 1.0), Report(ADD, 9, 1.0))
    assert says_the_same(Report(RETRACT, 5, 1.0), Report(RETRACT, 9, 0.0))
    assert not says_the_same(Report(ADD, 5, 1.0), Report(ADD, 5, 0.0))
    assert not says_the_same(Report(ADD, 5, 1.0), Report(SET, 5, 1.0))


EVENTS = {
    "b": Report(ADD, 20, 4.0),
    "a": Report(SET, 20, 2.0),
    "c": Report(ADD, 10, 3.0),
    "d": Report(RETRACT, 1, 100.0),
    "e": Report(RETRACT, 99, -100.0),
}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Aggregate.FIRST, 3.0),
        (Aggregate.LAST, 4.0),  # a and b are of the same time, and b is the greater id
        (Aggregate.SUM, 9.0),
        (Aggregate.MIN, 2.0),
        (Aggregate.MAX, 4.0),
    ],
)
def test_the_value_of_several_events(how, expected):
    assert aggregate(EVENTS, how) == expected
    assert aggregate(dict(reversed(EVENTS.items())), how) == expected


@pytest.mark.parametrize("how", Aggregate)
def test_what_was_retracted_has_no_value(how):
    assert aggregate({}, how) is None
    assert aggregate({"d": EVENTS["d"]}, how) is None
    assert aggregate({"d": EVENTS["d"], "x": Report(ADD, 0, 0.5)}, how) == 0.5


@given(st.dictionaries(st.text(max_size=3), reports, max_size=8), st.randoms(use_true_random=False))
def test_the_value_does_not_depend_on_the_order_of_events(events, chance: random.Random):
    items = list(events.items())
    chance.shuffle(items)
    for how in Aggregate:
        assert aggregate(dict(items), how) == aggregate(events, how)
