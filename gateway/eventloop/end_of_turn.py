"""Work at the end of a turn of the event loop: first batches are run, then responses are written.

In one turn of a busy loop many requests arrive. Those for the same model are run together. Their responses are then
written one right after the other. Writing to a socket wakes its reader, and if the reader sleeps on another processor,
that costs more than the write itself. The first response wakes the readers, and the others find them awake. A lone
request still gets its response in the turn in which it arrived.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

_log = structlog.get_logger()


class EndOfTurn:
    """The work of one event loop at the end of its turns."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_scheduled = False
        self._work: deque[Callable[[], None]] = deque()
        self._writes: list[tuple[asyncio.Transport, bytes]] = []

    def call(self, work: Callable[[], None]) -> None:
        """Call `work` before the loop waits again."""
        self._work.append(work)
        if not self._is_scheduled:
            self._schedule()

    def write(self, transport: asyncio.Transport, content: bytes) -> None:
        """Write `content` before the loop waits again."""
        self._writes.append((transport, content))
        if not self._is_scheduled:
            self._schedule()

    def flush(self) -> None:
        """Write everything that is waiting to be written now."""
        writes, self._writes = self._writes, []
        for transport, content in writes:
            try:
                transport.write(content)
            except Exception as error:  # noqa: BLE001  # the writes to other connections must go on
                if not transport.is_closing():  # if it is closing, its client has left and needs no response
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
            if self._work:  # a piece of work raised; the others must run all the same
                self._schedule()
            self.flush()
