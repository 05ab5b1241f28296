"""What is SQLite's own: files, locks, and a full disk."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control.errors import StoreUnavailable
from control.sqlite import SQLiteStore
from control.store import Change
from router.commands import Declare, apply
from router.document import Document, parse_spec

CHANGE = Change(who="ada", at_s=1.0, what="apply")


def declared(route: str = "r") -> Document:
    return apply(None, Declare(parse_spec({"route": route, "arms": {"a": "m:1"}, "split": {"a": 1}})))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else is in the middle of writing."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def test_the_folder_is_made_and_the_documents_outlive_the_store(tmp_path):
    path = tmp_path / "not" / "there" / "control.db"
    first = SQLiteStore(path)
    first.compare_and_set(declared(), CHANGE)
    first.close()
    second = SQLiteStore(path)
    assert second.read("r").document == declared()
    second.close()


def test_readers_go_on_beside_a_writer_and_writers_are_told(tmp_path):
    store = SQLiteStore(tmp_path / "control.db", busy_timeout_s=0.01)
    store.compare_and_set(declared(), CHANGE)
    with locked(tmp_path / "control.db"):
        with pytest.raises(StoreUnavailable, match="database is locked"):
            store.compare_and_set(declared("other"), CHANGE)
        assert set(store.documents()) == {"r"}
    store.compare_and_set(declared("other"), CHANGE)
    assert set(store.documents()) == {"r", "other"}
    store.close()


def test_opening_a_new_file_waits_for_whoever_else_is_opening_it(tmp_path):
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
    """Writes documents until the file may not grow any more, as on a full disk; at most 1 MB."""
    store._connection.execute("PRAGMA max_page_count = 12")
    for number in range(1000):
        store.compare_and_set(declared(f"r{number}"), Change(who="ada", at_s=1.0, what="x" * 1000))


def test_a_full_disk_is_unavailable_and_the_store_goes_on_when_there_is_room(tmp_path):
    store = SQLiteStore(tmp_path / "control.db")
    with pytest.raises(StoreUnavailable):
        fill(store)
    before = set(store.documents())
    store._connection.execute("PRAGMA max_page_count = 1000")
    store.compare_and_set(declared("after"), CHANGE)
    assert set(store.documents()) == before | {"after"}
    store.close()


def test_a_full_disk_is_named(tmp_path):
    store = SQLiteStore(tmp_path / "control.db")
    with pytest.raises(StoreUnavailable, match="disk is full"):
        fill(store)
