"""The memory that models may take in one process and in its child processes.

A version takes what its trial has measured, once in the process if it is loaded there, and once for each child process
that runs it. What can never fit is refused. What would fit if others were unloaded waits.
"""

import threading
from collections.abc import Hashable

from runtimes.errors import ModelRefused, StillLoading

_ADVICE = "Raise POINTSMAN_MODEL_MEMORY_BYTES, run fewer replicas, or use placement: dedicated on other nodes."


class MemoryBudget:
    """Any thread may use it. With 0 bytes there is no limit."""

    def __init__(self, total_bytes: int = 0) -> None:
        self._total_bytes = total_bytes
        self._taken: dict[Hashable, int] = {}
        self._was_short = False
        self._lock = threading.Lock()

    def take(self, owner: Hashable, size_bytes: int) -> int | None:
        """Take memory for an owner, in place of what the owner had. Return that, or None.

        Raises:
            ModelRefused: it is more than there is.
            StillLoading: it is more than is left.
        """
        total = self._total_bytes
        if total and size_bytes > total:
            raise ModelRefused(
                f"it takes {_mib(size_bytes)} of memory, and all models of a replica may take {_mib(total)}. {_ADVICE}"
            )
        with self._lock:
            others = sum(size for each, size in self._taken.items() if each != owner)
            if total and others + size_bytes > total:
                self._was_short = True
                raise StillLoading(
                    f"waits for memory: it takes {_mib(size_bytes)}, and others have {_mib(others)} of {_mib(total)} "
                    "(POINTSMAN_MODEL_MEMORY_BYTES)"
                )
            before = self._taken.get(owner)
            self._taken[owner] = size_bytes
            return before

    def restore(self, owner: Hashable, before: int | None) -> None:
        """Undo what `take` did, which has returned `before`."""
        with self._lock:
            if before is None:
                self._taken.pop(owner, None)
            else:
                self._taken[owner] = before

    def give_back(self, owner: Hashable) -> None:
        """Give back what an owner has taken, if anything."""
        with self._lock:
            self._taken.pop(owner, None)

    def was_short(self) -> bool:
        """Return True if an owner had to wait for memory since the last call."""
        with self._lock:
            was_short, self._was_short = self._was_short, False
        return was_short

    def taken_bytes(self) -> int:
        """Return how much is taken."""
        with self._lock:
            return sum(self._taken.values())


def _mib(size_bytes: int) -> str:
    return f"{-(-size_bytes // (1 << 20))} MiB"
