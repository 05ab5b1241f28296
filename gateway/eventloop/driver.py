"""Drives a prediction's coroutine by hand, without a task.

A task per request costs as much as a small model takes. But a prediction awaits only one kind of object, `Pending`. So
its coroutine is stepped to the first `Pending`, and stepped again when that is settled. `run_in_task` lets an ordinary
asyncio task await such a coroutine.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from gateway.errors import ClientGone

T = TypeVar("T")


class Pending(Generic[T]):
    """A value that will be set later in this thread. One coroutine awaits it; it is settled once."""

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
        """Return the value, or raise the error. Call this once, when it is settled.

        The error is let go, because its traceback will refer to this object.
        """
        error, self._error = self._error, None
        if error is None:
            return self._value  # type: ignore[return-value]  # settled without an error, it has its value
        try:
            raise error
        finally:
            error = None

    def succeed(self, value: T) -> None:
        """Set the value, and resume the coroutine that awaits it at once. Do nothing if it is settled already."""
        if not self.settled:
            self.settled = True
            self._value = value
            if self._resume is not None:
                self._resume()

    def fail(self, error: BaseException) -> None:
        """Set an error instead of a value. Do nothing if it is settled already.

        The traceback of an error also refers to the frames of its callers, such as this one, which hold the error. This
        cycle would keep the request in memory until Python looks for cycles, which it seldom does in a replica. So the
        traceback is removed when the coroutine has dealt with the error.
        """
        if not self.settled:
            self.settled = True
            self._error = error
            if self._resume is not None:
                try:
                    self._resume()
                finally:
                    error.__traceback__ = None

    def abandon(self) -> None:
        """Settle it without an outcome, because no coroutine awaits it any more."""
        self.settled = True
        self._resume = None

    def call_when_settled(self, resume: Callable[[], None]) -> None:
        """Set the function to call when this is settled. It must not be settled yet."""
        self._resume = resume


class Driver(Generic[T]):
    """Steps one coroutine, which may await `Pending` objects and coroutines that do.

    `finished` is called with the value that the coroutine returns, `failed` with the exception that it raises.
    """

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
        """Run the coroutine to the next `Pending` that is not settled, or to its end."""
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
        """Call `finished`.

        The caller resolves many requests in a loop. An exception here must not stop that loop.
        """
        try:
            self._finished(value)
        except Exception as error:  # noqa: BLE001  # handed on, not swallowed
            self._failed(error)

    def cancel(self) -> None:
        """Abandon the `Pending` that the coroutine awaits, and raise `ClientGone` in the coroutine.

        Neither `finished` nor `failed` is called any more.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.abandon()
            try:
                self._work.throw(ClientGone("The client left before the response was ready."))
            except (StopIteration, ClientGone):
                pass
            except Exception as error:
                if not isinstance(error.__cause__, ClientGone):  # an error that wraps ClientGone is expected as well
                    raise
            else:
                self._work.close()


async def run_in_task(work: Coroutine[Any, None, T]) -> T:
    """Return or raise what `work` does, for a caller in a task. Cancelling the task cancels the work."""
    outcome: Pending[T] = Pending()  # a future would keep an error that is raised in this frame: a cycle
    is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finished(value: T) -> None:
        outcome.succeed(value)
        end()

    def failed(error: BaseException) -> None:
        outcome.fail(error)
        end()

    def end() -> None:
        if not is_over.done():  # the task may have been cancelled in this very turn
            is_over.set_result(None)

    driver = Driver(work, finished, failed)
    driver.step()
    try:
        await is_over
    except asyncio.CancelledError:
        driver.cancel()
        raise
    return outcome.result()
