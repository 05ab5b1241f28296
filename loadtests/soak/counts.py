"""What became of the requests of a run, counted by several threads."""

import threading


class Counts:
    """What was sent and what became of it, over all threads."""

    def __init__(self, requests: int) -> None:
        self._lock = threading.Lock()
        self._left = requests
        self._next_id = 0
        self.answered = 0
        self.refused = 0
        self.broken_off = 0
        self.large = 0
        self.faults: list[str] = []

    @property
    def done(self) -> int:
        """Return how many requests are over."""
        return self.answered + self.refused + self.broken_off

    def take(self, number: int) -> range:
        """Return the ids of the next requests. It is empty when there were enough."""
        with self._lock:
            number = min(number, self._left)
            self._left -= number
            first, self._next_id = self._next_id, self._next_id + number
            return range(first, first + number)

    def add(self, **more: int) -> None:
        """Count what became of requests."""
        with self._lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)

    def fail(self, fault: str) -> None:
        """Note something that must not happen."""
        with self._lock:
            self.faults.append(fault)
