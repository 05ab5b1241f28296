"""Time buckets of rewards, and when a reward is late and a decision has matured."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.rewards.buckets import BUCKETS_KEPT, LENGTHS_S, bucket_s, has_matured, is_late, length_s, settling_s
from router.spec.metric import MetricSpec
from router.spec.parse_metrics import LONGEST_WINDOW_S
from tests.support.metric_specs import windows_s

DAY_S = 86_400
decided_us = st.integers(1_000_000_000_000_000, 4_000_000_000_000_000)


@pytest.mark.parametrize(
    ("window_s", "expected_s"),
    [
        (1.0, 10),
        (600.0, 10),
        (600.000001, 60),
        (3600.0, 60),
        (3600.5, 600),
        (10 * 3600.0, 600),
        (DAY_S, 3600),
        (7 * DAY_S, 6 * 3600),
        (15 * DAY_S, 6 * 3600),
        (16 * DAY_S, DAY_S),
        (90 * DAY_S, DAY_S),
    ],
)
def test_a_longer_window_has_longer_buckets(window_s, expected_s):
    assert length_s(MetricSpec("click", window_s)) == expected_s


@given(windows_s, decided_us)
@example(1.0, 1_000_000_000_000_000)
@example(LONGEST_WINDOW_S, 1_800_000_000_999_999)
def test_a_decision_is_in_its_bucket_which_is_kept_until_it_has_matured(window_s, at_us):
    metric = MetricSpec("click", window_s)
    start_s, long_s = bucket_s(at_us, metric), length_s(metric)
    assert long_s in LENGTHS_S
    assert start_s % long_s == 0
    assert start_s * 1_000_000 <= at_us < (start_s + long_s) * 1_000_000
    assert window_s <= 90 * long_s
    assert window_s + 2 * long_s + settling_s(window_s) < BUCKETS_KEPT * long_s


@given(windows_s, decided_us)
def test_no_reward_of_a_bucket_that_has_matured_is_in_time(window_s, at_us):
    metric = MetricSpec("click", window_s)
    start_s = bucket_s(at_us, metric)
    matured_s = start_s + length_s(metric) + window_s + settling_s(window_s)
    assert has_matured(start_s, metric, matured_s)
    assert not has_matured(start_s, metric, matured_s - 0.01)
    assert is_late(metric, at_us, int((matured_s - settling_s(window_s)) * 1_000_000) + 1)


def test_a_reward_is_late_after_its_window():
    metric = MetricSpec("click", 60.0)
    assert not is_late(metric, 1_000_000, 61_000_000)
    assert is_late(metric, 1_000_000, 61_000_001)
    assert not is_late(metric, 1_000_000, 0)  # by a clock that is behind


@pytest.mark.parametrize(("window_s", "expected_s"), [(0.5, 5.0), (5, 5.0), (12, 12.0), (60, 60.0), (86_400, 60.0)])
def test_a_short_window_settles_soon(window_s, expected_s):
    assert settling_s(window_s) == expected_s
