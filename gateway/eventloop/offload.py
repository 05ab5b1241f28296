"""Work that is too long for the event loop: it runs in a thread, and its outcome comes back to the loop."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from gateway.eventloop.driver import Pending
from gateway.eventloop.fair_queue import FairQueue

T = TypeVar("T")

LARGE_BYTES = 64 * 1024
"""JSON of this size takes about a millisecond to decode or to encode."""
UNCOUNTED_BYTES = 2048
"""The work for so few bytes costs less than the rest of their request."""
_BYTES_A_TURN = 16 * LARGE_BYTES
"""About 16 ms. With a quarter of it, 32 clients with 64 rows as JSON each got 30 % less, and twice the p99."""

_Job = tuple[Pending[Any], Callable[[], Any]]


class Offload:
    """A thread for the large bodies of one replica.

    Callers are served in turn, and so are the connections of a caller. So a client with many large bodies delays the
    one of another client by one job at most.

    Python runs one thread at a time. So the loop waits while a thread is inside one long C call, such as the parsing of
    16 MB of JSON (about 0.1 s), but no longer. With a second such thread it would wait for both, and nothing would be
    done sooner: with 16 bodies of 15 MB, 99 % of health checks took up to 0.7 s with one and 1.4 to 2.3 s with two.
    """

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pointsman-offload")
        self._free = threads
        self._waiting: FairQueue[_Job] = FairQueue()
        self._left_bytes = _BYTES_A_TURN

    def allows_here(self, count: int) -> bool:
        """Return True if so many bytes may be worked on in this turn of the loop, beside those that were already.

        Requests that are just too small for a thread would hold up the loop if many of them came together.
        """
        if self._left_bytes == _BYTES_A_TURN:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._left_bytes -= count
        return self._left_bytes >= 0

    def run(self, work: Callable[[], T], caller: Hashable = None, connection: Hashable = None) -> Pending[T]:
        """Run `work` in a thread when it is the turn of its caller and connection. The loop settles what this returns.

        Work whose outcome nothing awaits any more is not begun.
        """
        pending: Pending[T] = Pending()
        if self._free:
            self._start(pending, work)
        else:
            self._waiting.put(caller, connection, (pending, work))
        return pending

    def _start(self, pending: Pending[Any], work: Callable[[], Any]) -> None:
        loop = asyncio.get_running_loop()
        self._free -= 1

        def hand_over(ended: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is no client any more
                loop.call_soon_threadsafe(self._end, pending, ended)

        self._pool.submit(_run, work).add_done_callback(hand_over)

    def _end(self, pending: Pending[Any], ended: Future[Any]) -> None:
        """Settle the job first: what follows it goes on at once.

        A gRPC message is parsed in one job and decoded in the next one. Parsed, it takes up to four times the memory.
        """
        self._free += 1
        try:
            error = ended.exception()
            if error is None:
                pending.succeed(ended.result())
            else:
                pending.fail(error)
        finally:
            self._start_waiting()

    def _start_waiting(self) -> None:
        while self._free and self._waiting:
            waiting, work = self._waiting.pop()
            if not waiting.settled:
                self._start(waiting, work)

    def _begin_turn(self) -> None:
        self._left_bytes = _BYTES_A_TURN


def _run(work: Callable[[], T]) -> T:
    """Do the work. If it fails, free here what its frames hold: to free millions of strings would hold up the loop."""
    try:
        return work()
    except BaseException as error:
        each: BaseException | None = error
        while each is not None:
            traceback.clear_frames(each.__traceback__)
            each = each.__cause__
        raise


def caller_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return what tells a caller's work from that of others: the credential. None: there is none."""
    return headers.get(b"authorization") or headers.get(b"x-api-key")
