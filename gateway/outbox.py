"""Answers that wait for the end of the event loop's turn, to be written one right after the other. Acts.

Writing to a socket wakes its reader, which costs more than the write where the reader sleeps on another processor.
In one turn of a busy loop many requests are answered: written together, the first one wakes the readers and the
others find them awake. A lone answer is written in the same turn all the same.
"""

import asyncio


class Outbox:
    """One per event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, content: bytes) -> None:
        """Writes `content` before the loop waits again."""
        if not self._waiting:
            loop.call_soon(self.flush)
        self._waiting.append((transport, content))

    def flush(self) -> None:
        """Writes everything now."""
        waiting, self._waiting = self._waiting, []
        for transport, content in waiting:
            transport.write(content)
