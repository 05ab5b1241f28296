"""The connection to one SQLite file, which the replicas of a machine share: its tables, its lock, its errors."""

import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from store.codec import add_texts
from store.errors import StoreUnavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    route TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    change TEXT NOT NULL,
    UNIQUE (route, version)
);
CREATE TABLE IF NOT EXISTS identity (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audited (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS replicas (replica TEXT PRIMARY KEY, report TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS machines (machine TEXT PRIMARY KEY, at_s REAL NOT NULL, declines TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at_s REAL NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sources (source TEXT PRIMARY KEY, ends INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (route TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS counted_by_number ON counted (number);
CREATE TABLE IF NOT EXISTS sums (
    route TEXT NOT NULL,
    bucket_s INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    arm TEXT NOT NULL,
    model_version TEXT NOT NULL,
    against TEXT NOT NULL,
    name TEXT NOT NULL,
    against_version TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (route, bucket_s, policy_version, arm, model_version, against, name, against_version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS group_sums (
    route TEXT NOT NULL,
    bucket_s INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    arm TEXT NOT NULL,
    model_version TEXT NOT NULL,
    against TEXT NOT NULL,
    name TEXT NOT NULL,
    against_version TEXT NOT NULL,
    unit_group INTEGER NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (route, bucket_s, policy_version, arm, model_version, against, name, against_version, unit_group)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reward_sums (
    route TEXT NOT NULL,
    unit_group INTEGER NOT NULL,
    length_s INTEGER NOT NULL,
    bucket_s INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    arm TEXT NOT NULL,
    model_version TEXT NOT NULL,
    metric TEXT NOT NULL,
    decisions INTEGER NOT NULL,
    rewarded INTEGER NOT NULL,
    total INTEGER NOT NULL,
    squares INTEGER NOT NULL,
    PRIMARY KEY (route, unit_group, length_s, bucket_s, policy_version, arm, model_version, metric)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS context_sums (
    route TEXT NOT NULL,
    length_s INTEGER NOT NULL,
    bucket_s INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    arm TEXT NOT NULL,
    model_version TEXT NOT NULL,
    metric TEXT NOT NULL,
    integers TEXT NOT NULL,
    PRIMARY KEY (route, length_s, bucket_s, policy_version, arm, model_version, metric)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS policies (
    route TEXT PRIMARY KEY,
    declared_us INTEGER NOT NULL,
    number INTEGER NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes (
    route TEXT NOT NULL,
    declared_us INTEGER NOT NULL,
    decision_id TEXT NOT NULL,
    content BLOB NOT NULL,
    kept_until_s INTEGER NOT NULL,
    PRIMARY KEY (route, declared_us, decision_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outcomes_by_end ON outcomes (kept_until_s);
"""
_IDENTIFY = """
INSERT INTO identity (one, name)
SELECT 1, ? WHERE EXISTS (SELECT 1 FROM documents) AND NOT EXISTS (SELECT 1 FROM identity)
"""
_RETRY_S = 0.01


class SQLiteConnection:
    """One connection, used by one thread at a time. `now` returns the seconds since the epoch."""

    def __init__(self, path: Path, busy_timeout_s: float, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        with _map_errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            _use_wal(self._connection, busy_timeout_s)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.create_function("add_integers", 2, add_texts, deterministic=True)
            self._connection.executescript(_SCHEMA)
            self._connection.execute(_IDENTIFY, (uuid.uuid4().hex,))  # files of older versions have no identity

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _query(self, sql: str, *arguments: str | float) -> list[tuple[str, ...]]:
        with self._lock, _map_errors():
            return self._connection.execute(sql, arguments).fetchall()

    def _query_number(self, sql: str, *arguments: str | float) -> int:
        """Return the one number that a query selects; 0 if it selects no row."""
        rows = self._query(sql, *arguments)
        return int(rows[0][0]) if rows else 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _map_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:  # after "disk is full" SQLite has rolled back already
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Switch to WAL mode. SQLite itself does not wait for another process that is switching, so retry here."""
    until_s = time.monotonic() + timeout_s
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
