"""A strict route's answer, and its failure, waits for the second place; what is not confirmed is an error."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import BadRequest, ClientGone, Overloaded, RowNotConfirmed, advice_of, status_of
from gateway.eventloop.driver import Driver, Pending
from gateway.inference.call import Answer, Call
from gateway.inference.strict.predict import StrictPredictor
from runtimes.errors import ModelFailed

ANSWER = Answer(None, [], "WEIGHTED", 1.0, (1, 2))  # type: ignore[arg-type]


class Front:
    """A strict route with two arms, and what became of a request."""

    def __init__(self, deadline_s: float | None = None) -> None:
        self.live: Any = SimpleNamespace(route=SimpleNamespace(name="r", deadline_s=deadline_s), arms=(1, 2))
        self.rejected: list[tuple[str, int, int, str]] = []
        self.waits: list[tuple[int, float]] = []
        self.pending: Pending[None] = Pending()
        self.full = False
        self.place: Any = self
        self.result: Answer | Exception = ANSWER
        self.runs = 0
        self.finished: list[Any] = []
        self.failed: list[BaseException] = []

    def require_room(self) -> int:
        if self.full:
            raise Overloaded("full")
        return 7

    def confirm(self, first: int, until_s: float) -> Pending[None]:
        self.waits.append((first, until_s))
        return self.pending

    def reject(self, live: Any, call: Call, error: Exception, attempt: int) -> None:
        assert live is self.live
        self.rejected.append((call.decision_id, call.batch_size, attempt, type(error).__name__))

    async def predict(self, live: Any, call: Call) -> Answer:  # noqa: ARG002  # of Predict
        self.runs += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def ask(self, **more: Any) -> Driver[Answer]:
        call = Call("d", 100.0, inputs={}, batch_size=3, **more)
        work = StrictPredictor(self, self.place).predict(self.live, call, self.predict)  # type: ignore[arg-type]
        driver = Driver(work, self.finished.append, self.failed.append)
        driver.step()
        return driver


def test_the_answer_waits_until_its_rows_are_there():
    front = Front()
    front.ask()
    assert (front.finished, front.runs) == ([], 1)
    front.pending.succeed(None)
    assert (front.finished, front.failed, front.rejected) == ([ANSWER], [], [])


@pytest.mark.parametrize(
    ("own_s", "callers_s", "until_s"), [(None, None, 105.0), (2.0, None, 102.0), (2.0, 101.5, 101.5), (None, 103, 103)]
)
def test_it_waits_for_the_shortest_deadline(own_s, callers_s, until_s):
    front = Front(own_s)
    front.ask(deadline_s=callers_s)
    assert front.waits == [(7, until_s)]


def test_what_is_not_confirmed_in_time_is_an_error_that_may_be_repeated_and_has_a_row():
    front = Front()
    front.ask()
    front.pending.fail(RowNotConfirmed("late"))
    assert [type(each) for each in front.failed] == [RowNotConfirmed]
    assert front.rejected == [("d", 0, 2, "RowNotConfirmed")]
    assert (front.finished, status_of(front.failed[0])) == ([], (503, 14))
    assert (b"retry-after", b"1") in advice_of(front.failed[0])


def test_a_failure_is_told_once_its_row_is_there():
    front = Front()
    front.result = ModelFailed("broken")
    front.ask()
    assert front.failed == []
    front.pending.succeed(None)
    assert front.failed == [front.result]


@pytest.mark.parametrize("error", [BadRequest("wrong"), ClientGone("left")])
def test_a_callers_fault_does_not_wait(error):
    front = Front()
    front.result = error
    front.ask()
    assert (front.failed, front.waits) == ([error], [])


def test_a_row_that_was_not_written_is_no_answer():
    front = Front()
    front.result = ANSWER._replace(recorded=None)
    front.ask()
    assert [type(each) for each in front.failed] == [RowNotConfirmed]
    assert front.waits == []


def test_without_a_second_place_no_model_is_asked_and_the_operator_is_told_why():
    front = Front()
    front.place = None
    front.ask()
    assert "Route r is strict, and the log of this machine is in a directory" in str(front.failed[0])
    assert (front.runs, front.rejected) == (0, [("d", 0, 2, "RowNotConfirmed")])


def test_while_too_many_wait_no_model_is_asked():
    front = Front()
    front.full = True
    front.ask()
    assert ([type(each) for each in front.failed], front.runs) == ([Overloaded], 0)


def test_a_probe_has_no_row_and_does_not_wait():
    front = Front()
    front.place, front.result = None, ANSWER._replace(recorded=None)
    front.ask(probe=True)
    assert len(front.finished) == 1


def test_a_client_that_leaves_while_it_waits_is_let_go():
    front = Front()
    front.ask().cancel()
    assert front.pending.settled
    assert (front.finished, front.failed, front.rejected) == ([], [], [])
