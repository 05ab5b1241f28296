"""Threads that send requests until a block ends: what the loads of tests have in common."""

import threading
from types import TracebackType
from typing import Self

_JOIN_S = 120.0
"""Longer than any client waits for a response."""


class ClientThreads:
    """`with` runs `_run` in `clients` threads, each with its number, until the block ends and `_stop` is set."""

    clients: int

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _run(self, number: int) -> None:
        """Send requests until `_stop` is set."""
        raise NotImplementedError
