"""Versioned documents in a SQLite file.

Each version of a document is a row. Rows are only inserted, never changed. The unique key (route, version) makes
compare-and-set atomic: if two writers insert the same version, one insert fails. The sequence of a row is the number
of the change. Sequences are dense, because a transaction that is rolled back uses none.
"""

import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from router.document.document import Document
from router.errors import Corrupt
from store.api_key import ApiKey
from store.codec import decode_entry, encode, encode_document
from store.entry import Change, Entry, NumberedEntry
from store.errors import Conflict, Foreign, Moved
from store.revision import Marks, Revision
from store.sqlite.api_keys import insert_key
from store.sqlite.connection import SQLiteConnection

_NEWEST = """
SELECT body, change FROM documents AS d
WHERE version = (SELECT MAX(version) FROM documents WHERE route = d.route)
"""
_REVISION = """
SELECT COALESCE((SELECT name FROM identity), ''), (SELECT COALESCE(MAX(sequence), 0) FROM documents)
"""
_MARKS = f"""
{_REVISION.strip()}, (SELECT COALESCE(MAX(sequence), 0) FROM keys),
(SELECT COALESCE(MAX(revision), 0) FROM policies), COALESCE((SELECT number FROM audited), 0)
"""  # noqa: S608  # built from constants of this file


class SQLiteDocuments(SQLiteConnection):
    """The documents of `store.interface.Store`."""

    def revision(self) -> Revision:
        """See `Store.revision`."""
        identity, number = self._query(_REVISION)[0]
        return Revision(identity, int(number))

    def marks(self) -> Marks:
        """See `Store.marks`."""
        identity, *numbers = self._query(_MARKS)[0]
        number, keys, policies, audited = map(int, numbers)
        return Marks(Revision(identity, number), keys, policies, audited)

    def routes(self) -> Sequence[str]:
        """See `Store.routes`."""
        return [route for (route,) in self._query("SELECT DISTINCT route FROM documents ORDER BY route")]

    def documents(self) -> Mapping[str, Document]:
        """See `Store.documents`."""
        entries = [decode_entry(body, change) for body, change in self._query(_NEWEST)]
        return {entry.document.spec.route: entry.document for entry in entries}

    def read(self, route: str) -> Entry | None:
        """See `Store.read`."""
        newest = self.history(route, 1)
        return newest[0] if newest else None

    def compare_and_set(self, entries: Sequence[Entry], at: int | None = None) -> None:
        """See `Store.compare_and_set`."""
        with self._transaction() as connection:
            if entries and all(_is_written(connection, entry) for entry in entries):
                return
            (number,) = connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM documents").fetchone()
            if at is not None and number != at:
                raise Moved(at, number)
            for entry in entries:
                route, before = entry.document.spec.route, entry.document.version - 1
                current = _newest(connection, route)
                if current != before:
                    raise Conflict(route, before, current)
                _insert(connection, entry)
            if entries:
                connection.execute("INSERT OR IGNORE INTO identity VALUES (1, ?)", (uuid.uuid4().hex,))

    def history(self, route: str, limit: int) -> Sequence[Entry]:
        """See `Store.history`."""
        rows = self._query(
            "SELECT body, change FROM documents WHERE route = ? ORDER BY version DESC LIMIT ?", route, limit
        )
        return [decode_entry(body, change) for body, change in rows]

    def version(self, route: str, version: int) -> Entry | None:
        """See `Store.version`."""
        rows = self._query("SELECT body, change FROM documents WHERE route = ? AND version = ?", route, version)
        return decode_entry(*rows[0]) if rows else None

    def changes(self, after: int, limit: int) -> Sequence[NumberedEntry]:
        """See `Store.changes`."""
        return list(islice(self._readable_changes(after, limit), limit))

    def _readable_changes(self, after: int, page_size: int) -> Iterator[NumberedEntry]:
        sql = "SELECT sequence, body, change FROM documents WHERE sequence > ? ORDER BY sequence LIMIT ?"
        while rows := self._query(sql, after, page_size):
            for number, body, change in rows:
                after = int(number)
                try:
                    yield NumberedEntry(after, decode_entry(body, change))
                except Corrupt:
                    continue

    def audited(self) -> int:
        """See `Store.audited`."""
        return self._query_number("SELECT number FROM audited")

    def advance_audited(self, before: int, after: int) -> bool:
        """See `Store.advance_audited`."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO audited VALUES (1, 0)")
            done = connection.execute("UPDATE audited SET number = ? WHERE number = ?", (after, before))
            return done.rowcount == 1

    def restore(self, identity: str, entries: Sequence[Entry], keys: Sequence[ApiKey]) -> Sequence[str]:
        """See `Store.restore`."""
        with self._transaction() as connection:
            row = connection.execute("SELECT name FROM identity WHERE EXISTS (SELECT 1 FROM documents)").fetchone()
            if row is not None and row[0] != identity:
                raise Foreign(identity, row[0])
            connection.execute("INSERT OR REPLACE INTO identity VALUES (1, ?)", (identity,))
            lost = [
                entry for entry in entries if _newest(connection, entry.document.spec.route) < entry.document.version
            ]
            for entry in lost:
                _insert(connection, entry)
            for key in keys:
                insert_key(connection, key)
            return [entry.document.spec.route for entry in lost]


def _newest(connection: sqlite3.Connection, route: str) -> int:
    (version,) = connection.execute(
        "SELECT COALESCE(MAX(version), 0) FROM documents WHERE route = ?", (route,)
    ).fetchone()
    return int(version)


def _is_written(connection: sqlite3.Connection, entry: Entry) -> bool:
    """Return True if this same attempt has been written before."""
    row = connection.execute(
        "SELECT body, change FROM documents WHERE route = ? AND version = ?",
        (entry.document.spec.route, entry.document.version),
    ).fetchone()
    if row is None or not entry.change.id:
        return False
    try:
        return decode_entry(*row).change.id == entry.change.id
    except Corrupt:
        return False


def _insert(connection: sqlite3.Connection, entry: Entry) -> None:
    document: Document = entry.document
    change: Change = entry.change
    connection.execute(
        "INSERT INTO documents (route, version, body, change) VALUES (?, ?, ?, ?)",
        (document.spec.route, document.version, encode_document(document), encode(change)),
    )
