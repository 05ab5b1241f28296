"""Work that is too long for the event loop: it runs in a few threads, and its outcome comes back to the loop."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from gateway.eventloop.driver import Pending

T = TypeVar("T")

LARGE_BYTES = 64 * 1024
"""JSON of this size takes about a millisecond to decode or to encode."""


class Offload:
    """A few threads for the large bodies of one replica. Work is done in the order in which it came.

    Python runs one thread at a time. So the loop waits while a thread is inside one long C call, such as the parsing of
    16 MB of JSON (about 0.1 s), but no longer.
    """

    def __init__(self, threads: int = 2) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pointsman-offload")

    def run(self, work: Callable[[], T]) -> Pending[T]:
        """Run `work` in a thread. The loop settles what this returns."""
        pending: Pending[T] = Pending()
        loop = asyncio.get_running_loop()

        def hand_over(ended: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is no client any more
                loop.call_soon_threadsafe(_settle, pending, ended)

        self._pool.submit(work).add_done_callback(hand_over)
        return pending


def _settle(pending: Pending[Any], ended: Future[Any]) -> None:
    error = ended.exception()
    if error is None:
        pending.succeed(ended.result())
    else:
        pending.fail(error)
