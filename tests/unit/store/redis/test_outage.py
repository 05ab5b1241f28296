"""The fast failure of calls to a store that does not reply."""

import pytest

from store.errors import StoreUnavailable
from store.redis.outage import Outage


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock) -> Outage:
    return Outage(longest_call_s=2.0, now=clock)


def test_every_call_may_use_a_store_that_replies(outage):
    assert [outage.enter() for _ in range(3)] == [True, True, True]


def test_after_a_failure_every_call_fails_for_a_moment_with_its_reason(outage, clock):
    outage.enter()
    outage.failed("It does not answer.")
    for later_s in (0.0, 0.09):
        clock.now_s = 100.0 + later_s
        with pytest.raises(StoreUnavailable, match="It does not answer"):
            outage.enter()


def test_then_one_may_try_for_all_the_others(outage, clock):
    outage.failed("It does not answer.")
    clock.now_s += 0.21
    assert outage.enter() is False
    with pytest.raises(StoreUnavailable):
        outage.enter()
    outage.succeeded()
    assert [outage.enter(), outage.enter()] == [True, True]


def test_one_that_tries_and_never_comes_back_keeps_the_others_for_no_longer_than_a_try_may_take(outage, clock):
    outage.failed("It does not answer.")
    clock.now_s += 0.21
    outage.enter()
    clock.now_s += 2.0
    assert outage.enter() is False


def test_the_moment_grows_to_a_second(outage, clock):
    for _ in range(100):
        outage.failed("It does not answer.")
    clock.now_s += 0.49
    with pytest.raises(StoreUnavailable):
        outage.enter()
    clock.now_s += 0.52
    assert outage.enter() is False
