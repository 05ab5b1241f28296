"""Every state, every event: when a breaker admits a request."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.execution.breaker import FAILURES_IN_A_ROW, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker, BreakerState

OPENED_S = 100.0


def closed() -> Breaker:
    return Breaker()


def opened() -> Breaker:
    """Return an open breaker whose pause ends `FIRST_PAUSE_S` after `OPENED_S`."""
    breaker = Breaker()
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed(OPENED_S)
    return breaker


def half_open() -> Breaker:
    """Return a breaker whose test request was admitted when the pause was over."""
    breaker = opened()
    assert breaker.admits(OPENED_S + FIRST_PAUSE_S)
    return breaker


MAKE = {BreakerState.CLOSED: closed, BreakerState.OPEN: opened, BreakerState.HALF_OPEN: half_open}
EARLY_S, DUE_S = OPENED_S + FIRST_PAUSE_S / 2, OPENED_S + 2 * FIRST_PAUSE_S

ADMITTING = [
    # state, time, admitted, state afterwards
    (BreakerState.CLOSED, EARLY_S, True, BreakerState.CLOSED),
    (BreakerState.CLOSED, DUE_S, True, BreakerState.CLOSED),
    (BreakerState.OPEN, EARLY_S, False, BreakerState.OPEN),
    (BreakerState.OPEN, DUE_S, True, BreakerState.HALF_OPEN),
    (BreakerState.HALF_OPEN, OPENED_S + FIRST_PAUSE_S * 1.5, False, BreakerState.HALF_OPEN),  # still waiting
    (BreakerState.HALF_OPEN, DUE_S, True, BreakerState.HALF_OPEN),  # another test request
]
REPORTING = [
    (BreakerState.CLOSED, "succeeded", BreakerState.CLOSED),
    (BreakerState.CLOSED, "failed", BreakerState.CLOSED),  # one failure alone
    # A success of a request that was admitted before the breaker opened counts as much as one of a test request.
    (BreakerState.OPEN, "succeeded", BreakerState.CLOSED),
    (BreakerState.OPEN, "failed", BreakerState.OPEN),
    (BreakerState.HALF_OPEN, "succeeded", BreakerState.CLOSED),
    (BreakerState.HALF_OPEN, "failed", BreakerState.OPEN),
]


def report(breaker: Breaker, event: str, now_s: float) -> None:
    if event == "succeeded":
        breaker.succeeded()
    else:
        breaker.failed(now_s)


def test_the_tables_hold_every_state_and_event():
    assert {state for state, *_ in ADMITTING} == set(BreakerState)
    assert {(state, event) for state, event, _ in REPORTING} == {
        (s, e) for s in BreakerState for e in ("succeeded", "failed")
    }


@pytest.mark.parametrize(("state", "now_s", "admits", "after"), ADMITTING)
def test_when_it_admits_a_request(state, now_s, admits, after):
    breaker = MAKE[state]()
    assert (breaker.admits(now_s), breaker.state) == (admits, after)


@pytest.mark.parametrize(("state", "event", "after"), REPORTING)
def test_each_event_leads_to_its_state(state, event, after):
    breaker = MAKE[state]()
    assert breaker.state is state
    report(breaker, event, EARLY_S)
    assert breaker.state is after


@pytest.mark.parametrize("failures", range(1, FAILURES_IN_A_ROW))
def test_fewer_failures_than_five_in_a_row_do_not_open_it(failures):
    breaker = closed()
    for _ in range(10):
        for _ in range(failures):
            breaker.failed(0.0)
        breaker.succeeded()
    assert (breaker.state, breaker.admits(0.0)) == (BreakerState.CLOSED, True)


def test_five_failures_in_a_row_open_it_at_the_fifth():
    breaker = closed()
    states = []
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed(0.0)
        states.append(breaker.state)
    assert FAILURES_IN_A_ROW == 5
    assert states == [BreakerState.CLOSED] * 4 + [BreakerState.OPEN]


def test_a_success_while_closed_changes_nothing():
    breaker = closed()
    before = repr(breaker)
    breaker.succeeded()
    assert repr(breaker) == before


def test_a_failure_while_open_does_not_prolong_the_pause():
    breaker = opened()
    breaker.failed(EARLY_S)  # of a request that was admitted before
    assert not breaker.admits(EARLY_S)
    assert breaker.admits(OPENED_S + FIRST_PAUSE_S)


def test_only_one_test_request_passes_at_a_time():
    breaker = opened()
    assert [breaker.admits(DUE_S) for _ in range(4)] == [True, False, False, False]


def test_a_test_request_that_reports_nothing_is_given_up_after_another_pause():
    breaker = opened()
    assert breaker.admits(DUE_S)
    assert not breaker.admits(DUE_S + FIRST_PAUSE_S * 0.99)
    assert breaker.admits(DUE_S + FIRST_PAUSE_S)
    assert not breaker.admits(DUE_S + FIRST_PAUSE_S)


def test_pauses_double_up_to_the_longest():
    breaker, now_s, pauses = opened(), OPENED_S, []
    for _ in range(8):
        pause_s = FIRST_PAUSE_S
        while not breaker.admits(now_s + pause_s):
            pause_s += FIRST_PAUSE_S
        pauses.append(pause_s)
        now_s += pause_s
        breaker.failed(now_s)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert LONGEST_PAUSE_S == 30


def test_after_a_recovery_it_counts_from_zero():
    breaker = half_open()
    breaker.failed(DUE_S)  # the pause is two seconds now
    assert breaker.admits(DUE_S + 2)
    breaker.succeeded()
    assert repr(breaker) == repr(closed())
    for _ in range(FAILURES_IN_A_ROW - 1):
        breaker.failed(200.0)
    assert breaker.state is BreakerState.CLOSED
    breaker.failed(200.0)
    assert (breaker.state, breaker.admits(200.0 + FIRST_PAUSE_S)) == (BreakerState.OPEN, True)


def test_its_repr_shows_the_state():
    assert repr(closed()) == "<Breaker CLOSED failures=0 pause_s=1>"
    assert repr(opened()) == "<Breaker OPEN failures=5 pause_s=1>"


@given(st.lists(st.tuples(st.sampled_from(["admit", "succeeded", "failed"]), st.floats(0, 10)), max_size=60))
@settings(max_examples=100)
def test_no_pause_is_ever_longer_than_the_longest_pause(events):
    breaker, now_s = closed(), 0.0
    for event, later_s in events:
        now_s += later_s
        if event == "admit":
            breaker.admits(now_s)
        else:
            report(breaker, event, now_s)
    assert breaker.admits(now_s + LONGEST_PAUSE_S)


def test_a_test_request_that_never_reached_the_model_is_given_up_at_once():
    breaker = half_open()
    breaker.not_tried(EARLY_S + FIRST_PAUSE_S)
    assert [breaker.admits(EARLY_S + FIRST_PAUSE_S) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("make", [closed, opened])
def test_other_requests_that_never_reached_the_model_change_nothing(make):
    breaker = make()
    before = repr(breaker)
    breaker.not_tried(EARLY_S)
    assert (repr(breaker), breaker.admits(EARLY_S)) == (before, make is closed)


def test_a_breaker_knows_whose_requests_failed_since_the_last_success():
    breaker = Breaker()
    breaker.failed(OPENED_S, "a")
    assert (breaker.has_failed("a"), breaker.has_failed("b")) == (True, False)
    breaker.failed(OPENED_S, "b")
    assert breaker.has_failed("b")
    breaker.succeeded()
    assert (breaker.has_failed("a"), breaker.has_failed("b")) == (False, False)
