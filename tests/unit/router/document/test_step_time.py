"""A step's time is the time in which it was observed."""

import pytest

from router.document.step_time import MOST_GAP_S, StepTime, must_be_saved, step_source
from tests.unit.router.support import T0


def looked(*gaps_s: float) -> StepTime:
    time = StepTime(0, 0.0, T0)
    for gap_s in gaps_s:
        time = time.looked(time.looked_s + gap_s)
    return time


@pytest.mark.parametrize(
    ("gaps_s", "observed_s"),
    [
        ((0.5, 0.5, 2.0), 3.0),
        ((0.5, MOST_GAP_S, 0.5), MOST_GAP_S + 1.0),
        ((0.5, 3600.0, 0.5), 1.0),  # an outage, a suspended machine, or a clock that was set forward
        ((0.5, -3600.0, 0.5), 1.0),  # a clock that was set back
        ((0.5, 0.0, 0.5), 1.0),
    ],
)
def test_a_gap_between_two_looks_counts_as_nothing_whichever_way_it_goes(gaps_s, observed_s):
    assert looked(*gaps_s).observed_s == observed_s


def test_what_another_companion_has_saved_takes_the_place_of_what_was_not_saved():
    time = looked(0.5, 0.5004)
    assert time.next_ms == 1000
    own = time.saved(1000)
    assert own.saved_ms == 1000
    assert own.observed_s == pytest.approx(1.0004)
    assert time.saved(1200) == StepTime(1200, 0.0, time.looked_s)
    assert time.saved(0) == StepTime(0, 0.0, time.looked_s)  # the store has lost it


@pytest.mark.parametrize(("step_s", "after_s"), [(10.0, 0.5), (100.0, 2.0), (3600.0, 10.0)])
def test_a_fiftieth_of_the_step_is_saved_at_once_and_ten_seconds_at_most(step_s, after_s):
    assert must_be_saved(StepTime(0, after_s, T0), step_s)
    assert not must_be_saved(StepTime(0, after_s - 0.01, T0), step_s)


def test_each_step_has_a_number_of_its_own(begun):
    document = begun()
    assert step_source(document) == "step:r:2"
