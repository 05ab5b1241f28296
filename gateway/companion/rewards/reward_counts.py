"""How many rewards there were, by route, metric and what became of them."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

Labels = tuple[str, str, str]
"""Route, metric and result. Route and metric are empty if a reward was refused before they were known."""


class RewardCounts:
    """Counters since the process began. Any thread may use them."""

    def __init__(self) -> None:
        self._counts: Counter[Labels] = Counter()
        self._lock = threading.Lock()

    def add(self, labels: Iterable[Labels]) -> None:
        """Count rewards."""
        with self._lock:
            self._counts.update(labels)

    def now(self) -> Mapping[Labels, int]:
        """Return a copy."""
        with self._lock:
            return dict(self._counts)
