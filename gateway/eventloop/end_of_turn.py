"""What is done at the end of a turn of the event loop: batches are run, then answers are written. Acts.

In one turn of a busy loop many requests arrive. Those that wait for the same model are run together; and their
answers are written one right after the other, because writing to a socket wakes its reader, which costs more than the
write where the reader sleeps on another processor: the first wakes them, the others find them awake. A lone request
is answered in its own turn all the same.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

_log = structlog.get_logger()


class EndOfTurn:
    """One per event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_scheduled = False
        self._work: deque[Callable[[], None]] = deque()
        self._writes: list[tuple[asyncio.Transport, bytes]] = []

    def call(self, work: Callable[[], None]) -> None:
        """Calls `work` before the loop waits again."""
        self._work.append(work)
        if not self._is_scheduled:
            self._schedule()

    def write(self, transport: asyncio.Transport, content: bytes) -> None:
        """Writes `content` before the loop waits again."""
        self._writes.append((transport, content))
        if not self._is_scheduled:
            self._schedule()

    def flush(self) -> None:
        """Writes everything that waits now."""
        writes, self._writes = self._writes, []
        for transport, content in writes:
            try:
                transport.write(content)
            except Exception as error:  # noqa: BLE001  # the other connections do not suffer for it
                if not transport.is_closing():  # else its client is gone, and nobody misses it
                    _log.error("gateway.turn.write_failed", exc_info=error)

    def _schedule(self) -> None:
        self._is_scheduled = True
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._end)

    def _end(self) -> None:
        try:
            while self._work:
                self._work.popleft()()
        finally:
            self._is_scheduled = False
            if self._work:  # one piece raised; the others do not suffer for it
                self._schedule()
            self.flush()
