"""A day is closed when every machine has said so, in whatever order and however often they said it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_log.completeness.days import DAY_US, days_before, end_us, neighbours, start_us
from inference_log.completeness.standing import AWAY_US, GRACE_US, standing
from inference_log.completeness.watermark import Watermark
from inference_log.errors import LogError

DAY = "2026-03-01"
CLOSES_US = end_us(DAY) + GRACE_US
HOUR_US = 3_600_000_000


def says(machine: str = "a", at_us: int = CLOSES_US, until_us: int | None = None, **more) -> Watermark:
    return Watermark(machine, at_us, at_us if until_us is None else until_us, 0, 0, **more)


@pytest.mark.parametrize(
    ("watermarks", "now_us", "is_closed", "waits_for", "away"),
    [
        ([says()], CLOSES_US, True, (), ()),
        ([says()], CLOSES_US - 1, False, (), ()),
        ([says(until_us=CLOSES_US - 1)], CLOSES_US, False, ("a",), ()),
        ([says(), says("b", until_us=CLOSES_US - 1)], CLOSES_US, False, ("b",), ()),
        # A machine that stopped in order has nothing more.
        ([says(), says("b", CLOSES_US - 9 * HOUR_US, has_ended=True)], CLOSES_US, True, (), ()),
        # One that died at noon is waited for until it has said nothing for a day; then it is named.
        ([says(), says("b", CLOSES_US - 9 * HOUR_US)], CLOSES_US, False, ("b",), ()),
        ([says(), says("b", CLOSES_US - 9 * HOUR_US)], CLOSES_US + AWAY_US, True, (), ("b",)),
        # One that died days before has nothing of this day.
        ([says(), says("b", start_us(DAY) - AWAY_US - 1)], CLOSES_US, True, (), ()),
        # A clock that jumped back a day: what it logs now is of this day.
        ([says(at_us=CLOSES_US - DAY_US)], CLOSES_US, False, ("a",), ()),
        ([], CLOSES_US + 9 * DAY_US, False, (), ()),
    ],
)
def test_who_is_waited_for(watermarks, now_us, is_closed, waits_for, away):
    assert standing(DAY, watermarks, now_us) == (is_closed, waits_for, away)


times = st.integers(start_us(DAY) - 3 * DAY_US, end_us(DAY) + 3 * DAY_US)
watermarks = st.builds(
    Watermark, st.sampled_from("abc"), times, times, st.integers(0, 3), st.integers(0, 3), st.booleans()
)


@given(st.lists(watermarks, max_size=6), times, st.randoms())
def test_order_and_repetition_change_nothing(said, now_us, draw):
    again = said + said[: draw.randint(0, len(said))]
    draw.shuffle(again)
    assert standing(DAY, again, now_us) == standing(DAY, said, now_us)


@given(st.lists(watermarks, max_size=6, unique_by=lambda each: each.machine), times)
def test_no_day_is_closed_over_a_machine_that_has_more_of_it(said, now_us):
    found = standing(DAY, said, now_us)
    for each in said:
        has_more = each.shipped_until_us < CLOSES_US and not each.has_ended
        is_heard = now_us - each.at_us <= AWAY_US and each.at_us >= start_us(DAY) - AWAY_US
        if has_more and is_heard:
            assert each.machine in found.waits_for
            assert not found.is_closed
    assert not (found.is_closed and now_us < CLOSES_US)


@given(st.lists(watermarks, max_size=6), watermarks, times)
def test_what_one_more_machine_says_never_closes_a_day_that_others_keep_open(said, more, now_us):
    before = standing(DAY, said, now_us)
    if before.waits_for:
        assert not standing(DAY, [*said, more], now_us).is_closed or more.machine in before.waits_for


@given(st.lists(watermarks, min_size=1, max_size=6), times)
def test_machines_that_say_nothing_more_keep_no_day_open_for_ever(said, now_us):
    later_us = max(CLOSES_US, *(each.at_us for each in said)) + AWAY_US + 1
    assert standing(DAY, said, later_us).is_closed


def test_days_are_those_of_utc():
    assert (start_us("1970-01-02"), end_us("1970-01-02")) == (DAY_US, 2 * DAY_US)
    assert neighbours("2024-02-29") == ("2024-02-28", "2024-03-01")
    assert days_before(end_us(DAY), 3) == ["2026-02-27", "2026-02-28", "2026-03-01"]


@pytest.mark.parametrize("text", ["", "yesterday", "20260301", "2026-3-1", "2026-02-30"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(LogError, match="YYYY-MM-DD"):
        start_us(text)
