"""Every kind of store, behind the few things that the specification needs beside the Protocol.

A new store is one more class here and one more line in `KINDS`.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.sqlite import SQLiteStore
from control.store import Store


class SQLiteKind:
    """SQLite: every store that is opened shares one file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "control.db"
        self._opened: list[Store] = []

    def open(self) -> Store:
        """Another store on the same data, as another replica has it."""
        store = SQLiteStore(self.path, busy_timeout_s=30.0)
        self._opened.append(store)
        return store

    def damage_document(self, body: str) -> None:
        """Replaces the bodies of all stored documents."""
        self._execute("UPDATE documents SET body = ?", body)

    def damage_change(self, body: str) -> None:
        """Replaces what is stored of who changed what."""
        self._execute("UPDATE documents SET change = ?", body)

    def damage_report(self, body: str) -> None:
        """Replaces what all replicas said."""
        self._execute("UPDATE replicas SET report = ?", body)

    def damage_key(self, key_id: str, body: str) -> None:
        """Replaces what is stored of one key."""
        self._execute("UPDATE keys SET body = ? WHERE id = ?", body, key_id)

    def take_away(self) -> None:
        """Makes the data unreachable for the stores that are open."""
        self._execute("DROP TABLE documents")
        self._execute("DROP TABLE replicas")
        self._execute("DROP TABLE keys")

    def close(self) -> None:
        """Closes what was opened."""
        for store in self._opened:
            store.close()

    def _execute(self, sql: str, *arguments: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(sql, arguments)
        connection.close()


KINDS = {"sqlite": SQLiteKind}


@pytest.fixture(params=KINDS)
def kind(request, tmp_path) -> Iterator[SQLiteKind]:
    made = KINDS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(kind) -> Store:
    return kind.open()
