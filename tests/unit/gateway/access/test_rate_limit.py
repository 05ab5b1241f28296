"""The token bucket of a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.rate_limit import TokenBucket

RATES = st.floats(min_value=0.01, max_value=1000)
BURSTS = st.floats(min_value=1, max_value=100)
PAUSES = st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=200)
ROUNDING = 1e-6


def test_a_burst_is_admitted_at_once_and_then_the_rate():
    bucket = TokenBucket(10, 3)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.05) == pytest.approx(0.05)
    assert bucket.take(0.11) == 0.0
    assert bucket.take(0.12) > 0


def test_unused_tokens_are_kept_only_up_to_the_burst():
    bucket = TokenBucket(10, 2)
    bucket.take(0.0)
    assert [bucket.take(3600.0) == 0.0 for _ in range(4)] == [True, True, False, False]


def test_a_rejected_request_takes_no_token():
    bucket = TokenBucket(1, 1)
    bucket.take(0.0)
    for _ in range(100):
        assert bucket.take(0.5) > 0
    assert bucket.take(1.0) == 0.0


def test_a_clock_that_goes_back_changes_nothing():
    bucket = TokenBucket(1, 1)
    bucket.take(100.0)
    assert bucket.take(0.0) == pytest.approx(1.0)
    assert bucket.take(100.5) == pytest.approx(0.5)
    assert bucket.take(101.0) == 0.0


@pytest.mark.parametrize(("rate_per_s", "burst"), [(0, 1), (-1, 1), (1, 0.5), (float("nan"), 1), (1, float("nan"))])
def test_a_bucket_that_could_never_be_used_is_refused(rate_per_s, burst):
    with pytest.raises(ValueError, match="A rate must be above 0 and a burst at least 1"):
        TokenBucket(rate_per_s, burst)


@given(RATES, BURSTS, PAUSES)
def test_no_window_admits_more_than_burst_and_rate_allow(rate_per_s, burst, pauses_s):
    bucket = TokenBucket(rate_per_s, burst)
    now_s, admitted_s = 1000.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        if bucket.take(now_s) == 0.0:
            admitted_s.append(now_s)
    for first, from_s in enumerate(admitted_s):
        for last in range(first, len(admitted_s)):
            window_s = admitted_s[last] - from_s
            assert last - first + 1 <= burst + rate_per_s * window_s + ROUNDING


@given(RATES, BURSTS, PAUSES)
def test_a_request_that_waits_as_long_as_returned_is_admitted(rate_per_s, burst, pauses_s):
    bucket = TokenBucket(rate_per_s, burst)
    now_s = 1000.0
    for pause_s in pauses_s:
        now_s += pause_s
        wait_s = bucket.take(now_s)
        if wait_s > 0:
            now_s += wait_s + ROUNDING
            assert bucket.take(now_s) == 0.0
