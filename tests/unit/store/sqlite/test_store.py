"""Behaviour of the SQLite store alone: files, locks, and a full disk."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.entry import Change
from store.errors import StoreUnavailable
from store.revision import Revision
from store.sqlite.store import SQLiteStore
from tests.support.documents import declared, sum_key, write


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock, as another process does in the middle of a write."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def test_the_folder_is_made_and_the_documents_outlive_the_store(tmp_path):
    path = tmp_path / "not" / "there" / "control.db"
    first = SQLiteStore(path)
    write(first, declared())
    first.close()
    second = SQLiteStore(path)
    assert second.read("fraud").document == declared()
    second.close()


def test_readers_go_on_beside_a_writer_and_writers_are_told(tmp_path):
    store = SQLiteStore(tmp_path / "control.db", busy_timeout_s=0.01)
    write(store, declared())
    with locked(tmp_path / "control.db"):
        with pytest.raises(StoreUnavailable, match="database is locked"):
            write(store, declared("other"))
        assert set(store.documents()) == {"fraud"}
    write(store, declared("other"))
    assert set(store.documents()) == {"fraud", "other"}
    store.close()


def test_opening_a_new_file_waits_for_another_process_that_is_opening_it(tmp_path):
    path = tmp_path / "control.db"
    with locked(path):
        started_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="database is locked"):
            SQLiteStore(path, busy_timeout_s=0.05)
        assert time.monotonic() - started_s >= 0.05


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    path = tmp_path / "control.db"
    path.write_text("not a database\n" * 1000)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        SQLiteStore(path)
    assert path.read_text().startswith("not a database")


def test_a_folder_is_no_database(tmp_path):
    with pytest.raises(StoreUnavailable, match="unable to open"):
        SQLiteStore(tmp_path)


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        SQLiteStore(tmp_path / "file" / "control.db")


def fill(store: SQLiteStore) -> None:
    """Write documents until the file cannot grow any more, as on a full disk; at most 1 MB."""
    store._connection.execute("PRAGMA max_page_count = 12")
    for number in range(1000):
        write(store, declared(f"r{number}"), "x" * 1000)


def test_a_full_disk_is_unavailable_and_the_store_goes_on_when_there_is_room(tmp_path):
    store = SQLiteStore(tmp_path / "control.db")
    with pytest.raises(StoreUnavailable):
        fill(store)
    before = set(store.documents())
    store._connection.execute("PRAGMA max_page_count = 1000")
    write(store, declared("after"))
    assert set(store.documents()) == before | {"after"}
    store.close()


def test_a_full_disk_is_named(tmp_path):
    store = SQLiteStore(tmp_path / "control.db")
    with pytest.raises(StoreUnavailable, match="disk is full"):
        fill(store)


OLD_SCHEMA = """
CREATE TABLE documents (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, route TEXT NOT NULL, version INTEGER NOT NULL,
    body TEXT NOT NULL, change TEXT NOT NULL, UNIQUE (route, version)
);
CREATE TABLE replicas (replica TEXT PRIMARY KEY, report TEXT NOT NULL);
CREATE TABLE keys (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created_at_s REAL NOT NULL, body TEXT NOT NULL
);
"""


def test_a_file_of_the_previous_shape_opens_and_gets_an_identity_that_stays(tmp_path):
    path = tmp_path / "control.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD_SCHEMA)
    body = json.dumps(
        {
            "version": 1,
            "spec": {"route": "fraud", "arms": {"a": "m:1"}, "split": {"a": "100%"}},
            "slots": {"a": [[0, 10000]]},
        }
    )
    change = '{"who": "ada", "at_s": 1.5, "what": "apply", "why": "because"}'
    with connection:
        connection.execute(
            "INSERT INTO documents (route, version, body, change) VALUES ('fraud', 1, ?, ?)", (body, change)
        )
    connection.close()
    stores = [SQLiteStore(path), SQLiteStore(path)]
    identity, number = stores[0].revision()
    assert (len(identity), number) == (32, 1)
    assert stores[1].revision() == Revision(identity, 1)
    assert stores[0].read("fraud").change == Change("ada", 1.5, "apply", "because")
    assert [each.number for each in stores[0].changes(0, 10)] == [1]
    assert stores[0].audited() == 0
    for store in stores:
        store.close()


def test_buckets_are_deleted_when_they_are_older_than_an_hour_and_totals_are_kept(tmp_path):
    now_s = 1_800_000_000.0
    store = SQLiteStore(tmp_path / "control.db", now=lambda: now_s)
    store.count("segment", 0, 1, {"fraud": {sum_key(1_800_000_000): 1, sum_key(1_800_000_010): 2}})
    now_s += 3605.0
    store.count("segment", 1, 2, {})
    assert dict(store.recent_sums("fraud", 0)) == {sum_key(1_800_000_010): 2}
    now_s += 10.0  # old buckets are not deleted at every count
    store.count("segment", 2, 3, {})
    assert dict(store.recent_sums("fraud", 0)) == {sum_key(1_800_000_010): 2}
    assert dict(store.sums("fraud", 1)) == {sum_key(0): 3}
    store.close()
