"""A store in one SQLite file (WAL mode), shared by the replicas of a machine. Acts.

A document's versions are rows that are only ever inserted; the primary key (route, version) is what makes
compare-and-set atomic: of two writers of the same version one insert fails. A key that is revoked takes a new sequence
number, so that the highest one tells whether any key has changed.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from control.errors import Conflict, StoreUnavailable
from control.keys import ApiKey
from control.store import Change, Entry, Report
from router.document import Document, from_dict, to_dict
from router.errors import Corrupt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    route TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    change TEXT NOT NULL,
    UNIQUE (route, version)
);
CREATE TABLE IF NOT EXISTS replicas (replica TEXT PRIMARY KEY, report TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at_s REAL NOT NULL,
    body TEXT NOT NULL
);
"""
_RETRY_S = 0.01
_NEWEST = """
SELECT body, change FROM documents AS d
WHERE version = (SELECT MAX(version) FROM documents WHERE route = d.route)
"""


class SQLiteStore:
    """See `control.store.Store`. One connection, used by one thread at a time."""

    def __init__(self, path: Path, busy_timeout_s: float = 5.0) -> None:
        self._lock = threading.Lock()
        with _map_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            _use_wal(self._connection, busy_timeout_s)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)

    def revision(self) -> int:
        """See `Store.revision`."""
        (newest,) = self._query("SELECT COALESCE(MAX(sequence), 0) FROM documents")[0]
        return int(newest)

    def routes(self) -> Sequence[str]:
        """See `Store.routes`."""
        return [route for (route,) in self._query("SELECT DISTINCT route FROM documents ORDER BY route")]

    def documents(self) -> Mapping[str, Document]:
        """See `Store.documents`."""
        entries = [_entry(body, change) for body, change in self._query(_NEWEST)]
        return {entry.document.spec.route: entry.document for entry in entries}

    def read(self, route: str) -> Entry | None:
        """See `Store.read`."""
        newest = self.history(route, 1)
        return newest[0] if newest else None

    def compare_and_set(self, document: Document, change: Change) -> None:
        """See `Store.compare_and_set`."""
        route, before = document.spec.route, document.version - 1
        with self._lock, _map_errors(), self._transaction() as connection:
            (current,) = connection.execute(
                "SELECT COALESCE(MAX(version), 0) FROM documents WHERE route = ?", (route,)
            ).fetchone()
            if current != before:
                raise Conflict(route, before, current)
            connection.execute(
                "INSERT INTO documents (route, version, body, change) VALUES (?, ?, ?, ?)",
                (route, document.version, json.dumps(to_dict(document)), msgspec.json.encode(change).decode()),
            )

    def history(self, route: str, limit: int) -> Sequence[Entry]:
        """See `Store.history`."""
        rows = self._query(
            "SELECT body, change FROM documents WHERE route = ? ORDER BY version DESC LIMIT ?", route, limit
        )
        return [_entry(body, change) for body, change in rows]

    def report(self, report: Report) -> None:
        """See `Store.report`."""
        self._query(
            "INSERT OR REPLACE INTO replicas VALUES (?, ?)",
            report.replica,
            msgspec.json.encode(report).decode(),
        )

    def retire(self, replica: str) -> None:
        """See `Store.retire`."""
        self._query("DELETE FROM replicas WHERE replica = ?", replica)

    def reports(self) -> Sequence[Report]:
        """See `Store.reports`."""
        rows = self._query("SELECT report FROM replicas ORDER BY replica")
        return [report for (body,) in rows if (report := _report(body)) is not None]

    def keys_revision(self) -> int:
        """See `Store.keys_revision`."""
        (newest,) = self._query("SELECT COALESCE(MAX(sequence), 0) FROM keys")[0]
        return int(newest)

    def keys(self) -> Sequence[ApiKey]:
        """See `Store.keys`."""
        rows = self._query("SELECT body FROM keys ORDER BY created_at_s, id")
        return [key for (body,) in rows if (key := _key(body)) is not None]

    def add_key(self, key: ApiKey) -> bool:
        """See `Store.add_key`."""
        added = self._query(
            "INSERT INTO keys (id, created_at_s, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING id",
            key.id,
            key.created_at_s,
            msgspec.json.encode(key).decode(),
        )
        return bool(added)

    def revoke_key(self, key_id: str, at_s: float) -> ApiKey | None:
        """See `Store.revoke_key`."""
        with self._lock, _map_errors(), self._transaction() as connection:
            row = connection.execute("SELECT body FROM keys WHERE id = ?", (key_id,)).fetchone()
            key = None if row is None else _key(row[0])
            if key is None or key.revoked_at_s is not None:
                return key
            revoked = replace(key, revoked_at_s=at_s)
            connection.execute(
                "REPLACE INTO keys (id, created_at_s, body) VALUES (?, ?, ?)",
                (key_id, key.created_at_s, msgspec.json.encode(revoked).decode()),
            )
            return revoked

    def close(self) -> None:
        """See `Store.close`."""
        with self._lock:
            self._connection.close()

    def _query(self, sql: str, *arguments: str | float) -> list[tuple[str, ...]]:
        with self._lock, _map_errors():
            return self._connection.execute(sql, arguments).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            if self._connection.in_transaction:  # a full disk has rolled back already
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _entry(body: str, change: str) -> Entry:
    try:
        return Entry(from_dict(json.loads(body)), msgspec.json.decode(change, type=Change))
    except (json.JSONDecodeError, msgspec.DecodeError) as error:
        raise Corrupt(f"A stored document is not JSON: {error}.") from error


def _report(body: str) -> Report | None:
    """None for what another version of this program wrote: it is replaced within a second."""
    try:
        return msgspec.json.decode(body, type=Report)
    except msgspec.DecodeError:
        return None


def _key(body: str) -> ApiKey | None:
    """None for what is damaged: such a key opens nothing."""
    try:
        return msgspec.json.decode(body, type=ApiKey)
    except msgspec.DecodeError:
        return None


def _use_wal(connection: sqlite3.Connection, patience_s: float) -> None:
    """Switches to WAL mode, for which SQLite itself does not wait when somebody else is switching."""
    until_s = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until_s:
                raise
            time.sleep(_RETRY_S)
        else:
            return


@contextmanager
def _map_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"The SQLite store does not answer: {error}.") from error
