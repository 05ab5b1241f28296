"""The time that a connection may take, with a clock that is an argument."""

import pytest

from gateway.http.time_limits import Activity, TimeLimits, Watch

LIMITS = TimeLimits(idle_s=75, head_s=30, body_s=60, min_body_bytes_per_s=500, unread_s=60, refused_s=2)


def overdue_at(activity, *, bytes_per_s=0.0, subject=lambda _: 0):
    """Return the second at which a connection that is looked at once a second is overdue; None within an hour."""
    watch = Watch()
    for second in range(3600):
        if watch.is_overdue(LIMITS, activity, subject(second), int(second * bytes_per_s), float(second)):
            return second
    return None


@pytest.mark.parametrize(
    ("activity", "limit_s"),
    [
        (Activity.IDLE, 75),
        (Activity.HEAD, 30),
        (Activity.BODY, 60),
        (Activity.UNREAD, 60),
        (Activity.REFUSED, 2),
        (Activity.DROPPED, 60),
        (Activity.SERVED, None),
    ],
)
def test_each_activity_has_its_limit(activity, limit_s):
    assert overdue_at(activity) == limit_s


def test_a_head_that_drips_is_overdue_all_the_same():
    assert overdue_at(Activity.HEAD, bytes_per_s=100) == 30
    assert overdue_at(Activity.DROPPED, bytes_per_s=1000) == 60


@pytest.mark.parametrize(("bytes_per_s", "limit_s"), [(499, 60), (500, None), (1e6, None)])
def test_a_body_may_take_long_if_it_comes_fast_enough(bytes_per_s, limit_s):
    assert overdue_at(Activity.BODY, bytes_per_s=bytes_per_s) == limit_s


def test_a_body_that_stops_is_overdue_when_its_average_is_too_low():
    watch = Watch()
    for second in range(61):
        assert not watch.is_overdue(LIMITS, Activity.BODY, 1, min(second, 1) * 50_000, float(second))
    assert watch.is_overdue(LIMITS, Activity.BODY, 1, 50_000, 101.0)


def test_what_changes_between_two_looks_begins_anew():
    assert overdue_at(Activity.UNREAD, subject=lambda second: second // 50) is None
    assert overdue_at(Activity.IDLE, subject=lambda second: second // 70) is None


def test_only_an_idle_connection_says_since_when():
    watch = Watch()
    assert watch.idle_since_s() is None
    watch.is_overdue(LIMITS, Activity.IDLE, 0, 0, 5.0)
    watch.is_overdue(LIMITS, Activity.IDLE, 0, 0, 9.0)
    assert watch.idle_since_s() == 5.0
    watch.is_overdue(LIMITS, Activity.HEAD, 0, 0, 10.0)
    assert watch.idle_since_s() is None
