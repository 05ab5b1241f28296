"""Pauses between tries: each is twice as long as the one before, up to half a minute."""

import random
from collections.abc import Iterable
from pathlib import Path

_FIRST_S = 1.0
_LONGEST_S = 30.0


class Pauses:
    """Until when each path waits. The pauses vary by a quarter, so that machines do not try together."""

    def __init__(self) -> None:
        self._pauses_s: dict[Path, float] = {}
        self._until_s: dict[Path, float] = {}

    def begin(self, path: Path, now_s: float) -> None:
        """Begin the next pause of a path."""
        pause_s = self._pauses_s[path] = min(2 * self._pauses_s.get(path, _FIRST_S / 2), _LONGEST_S)
        self._until_s[path] = now_s + pause_s * random.uniform(0.75, 1.25)  # noqa: S311  # not for secrets

    def holds(self, path: Path, now_s: float) -> bool:
        """Return True if a path has to wait. A clock that was set back does not make that longer."""
        return now_s < self._until_s.get(path, 0.0) <= now_s + 2 * _LONGEST_S

    def end(self) -> None:
        """End all pauses. The next ones are longer all the same."""
        self._until_s.clear()

    def forget(self, path: Path) -> None:
        """End the pause of a path. Its next one is the first."""
        self._until_s.pop(path, None)
        self._pauses_s.pop(path, None)

    def keep(self, paths: Iterable[Path]) -> None:
        """Forget all paths but these."""
        for path in self._pauses_s.keys() - set(paths):
            self.forget(path)
