"""A store in one SQLite file (WAL mode), shared by the replicas of a machine."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from store.codec import decode, encode
from store.report import Report
from store.sqlite.api_keys import SQLiteApiKeys
from store.sqlite.documents import SQLiteDocuments
from store.sqlite.machines import SQLiteMachines
from store.sqlite.policies import SQLitePolicies
from store.sqlite.sums import SQLiteSums


class SQLiteStore(SQLiteDocuments, SQLitePolicies, SQLiteSums, SQLiteApiKeys, SQLiteMachines):
    """See `store.interface.Store`. `now` returns the seconds since the epoch."""

    def __init__(self, path: Path, busy_timeout_s: float = 5.0, now: Callable[[], float] = time.time) -> None:
        super().__init__(path, busy_timeout_s, now)
        self._closed = threading.Event()

    def await_change(self, timeout_s: float) -> bool:
        """See `Store.await_change`. A file sends no notification, so this ends early only if the store is closed."""
        self._closed.wait(timeout_s)
        return False

    def report(self, report: Report) -> None:
        """See `Store.report`."""
        self._query("INSERT OR REPLACE INTO replicas VALUES (?, ?)", report.replica, encode(report))

    def retire(self, replica: str) -> None:
        """See `Store.retire`."""
        self._query("DELETE FROM replicas WHERE replica = ?", replica)

    def reports(self) -> Sequence[Report]:
        """See `Store.reports`."""
        rows = self._query("SELECT report FROM replicas ORDER BY replica")
        return [report for (body,) in rows if (report := decode(body, Report)) is not None]

    def close(self) -> None:
        """See `Store.close`."""
        self._closed.set()
        super().close()
