"""Drives a prediction's coroutine by hand, without a task. Acts.

A task per request costs as much as a small model takes. But a prediction waits for one kind of thing only, `Pending`:
so its coroutine is stepped to the first of them, and stepped again by whoever settles it. `run_in_task`
is the bridge for callers who live in tasks.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from gateway.errors import ClientGone

T = TypeVar("T")


class Pending(Generic[T]):
    """A value that will be there later in this thread. Awaited by one coroutine; settled once."""

    __slots__ = ("_error", "_resume", "_value", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._resume: Callable[[], None] | None = None

    def __await__(self) -> Generator["Pending[T]", None, T]:
        if not self.settled:
            yield self
        return self.result()

    def result(self) -> T:
        """The value; raises the error instead if there is none. To be asked of what is settled."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # settled without an error, it has its value

    def succeed(self, value: T) -> None:
        """The value is there; who waits for it goes on at once. Settled already, nothing happens."""
        if not self.settled:
            self.settled = True
            self._value = value
            if self._resume is not None:
                self._resume()

    def fail(self, error: BaseException) -> None:
        """There will be no value. Settled already, nothing happens."""
        if not self.settled:
            self.settled = True
            self._error = error
            if self._resume is not None:
                self._resume()

    def abandon(self) -> None:
        """Nobody waits any more."""
        self.settled = True
        self._resume = None

    def call_when_settled(self, resume: Callable[[], None]) -> None:
        """What to call once this is settled, which it is not yet."""
        self._resume = resume


class Driver(Generic[T]):
    """A coroutine on its way. It may await `Pending`s and coroutines that do; `finished` gets what it returns."""

    __slots__ = ("_failed", "_finished", "_pending", "_work")

    def __init__(
        self,
        work: Coroutine[Pending[Any], None, T],
        finished: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._work = work
        self._finished = finished
        self._failed = failed
        self._pending: Pending[Any] | None = None

    def step(self) -> None:
        """Runs the coroutine to the next thing that it has to wait for, or to its end."""
        self._pending = None
        try:
            pending = self._work.send(None)
        except StopIteration as end:
            self._finish(end.value)
        except BaseException as error:  # noqa: BLE001  # handed on, not swallowed
            self._failed(error)
        else:
            self._pending = pending
            pending.call_when_settled(self.step)

    def _finish(self, value: T) -> None:
        """Whoever settles what one waits for has others to settle: they must not suffer for him."""
        try:
            self._finished(value)
        except Exception as error:  # noqa: BLE001  # handed on, not swallowed
            self._failed(error)

    def cancel(self) -> None:
        """Nobody waits for the outcome: whatever the coroutine waits for is abandoned, and it is told so."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.abandon()
            try:
                self._work.throw(ClientGone("The client left before the answer was there."))
            except (StopIteration, ClientGone):
                pass
            except Exception as error:
                if not isinstance(error.__cause__, ClientGone):  # said in a door's own words, it is no fault either
                    raise
            else:
                self._work.close()


async def run_in_task(work: Coroutine[Any, None, T]) -> T:
    """What `work` returns or raises, for a caller in a task. Cancelling the task cancels the work."""
    outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def finished(value: T) -> None:
        if not outcome.done():  # the task may have been cancelled in this very turn
            outcome.set_result(value)

    def failed(error: BaseException) -> None:
        if not outcome.done():
            outcome.set_exception(error)

    driven = Driver(work, finished, failed)
    driven.step()
    try:
        return await outcome
    except asyncio.CancelledError:
        driven.cancel()
        raise
