"""A store that may be unreachable, and whose server may get other data meanwhile."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from store.errors import StoreUnavailable
from store.sqlite.store import SQLiteStore


class FlakyStore:
    """A real store behind a server that a test can take away. `asked` are the names of the calls, in order.

    `now` is the store's clock, by which it forgets.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._files = 0
        self.is_away = False
        self.asked: list[str] = []
        self.path, self.real = self._open(None)

    def __getattr__(self, name: str) -> Any:
        """Return the method of the real store, or one that raises while the store is away."""
        self.asked.append(name)
        if self.is_away:

            def refuse(*_: Any, **__: Any) -> Any:
                raise StoreUnavailable("The store does not answer.")

            return refuse
        return getattr(self.real, name)

    def await_change(self, timeout_s: float) -> bool:
        """Raise nothing: the next call finds out that the store is away."""
        return self.real.await_change(timeout_s)

    def lose(self) -> None:
        """Let the server lose everything."""
        self.real.close()
        self.path, self.real = self._open(None)

    def back_up(self) -> Path:
        """Copy what the server has now."""
        copy = self._folder / f"backup-{self._files}-{len(self.asked)}.db"
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy

    def set_back(self, backup: Path) -> None:
        """Give the server what it had at a backup."""
        self.real.close()
        self.path, self.real = self._open(backup)

    def damage(self, route: str) -> None:
        """Replace a route's document by something that is none."""
        with closing(sqlite3.connect(self.path)) as direct, direct:
            direct.execute("UPDATE documents SET body = '{}' WHERE route = ?", (route,))

    def _open(self, backup: Path | None) -> tuple[Path, SQLiteStore]:
        self._files += 1
        path = self._folder / f"store-{self._files}.db"
        if backup is not None:
            path.write_bytes(backup.read_bytes())
        return path, SQLiteStore(path, now=self._now)
