"""API keys in a SQLite file.

A key that is revoked takes a new sequence number, so the highest sequence number grows with every change of a key.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from store.api_key import ApiKey
from store.codec import decode, encode
from store.sqlite.connection import SQLiteConnection


class SQLiteApiKeys(SQLiteConnection):
    """The API keys of `store.interface.Store`."""

    def keys_revision(self) -> int:
        """See `Store.keys_revision`."""
        return self._query_number("SELECT COALESCE(MAX(sequence), 0) FROM keys")

    def keys(self) -> Sequence[ApiKey]:
        """See `Store.keys`."""
        rows = self._query("SELECT body FROM keys ORDER BY created_at_s, id")
        return [key for (body,) in rows if (key := decode(body, ApiKey)) is not None]

    def add_key(self, key: ApiKey) -> bool:
        """See `Store.add_key`."""
        with self._transaction() as connection:
            return insert_key(connection, key)

    def revoke_key(self, key_id: str, at_s: float) -> ApiKey | None:
        """See `Store.revoke_key`."""
        with self._transaction() as connection:
            row = connection.execute("SELECT body FROM keys WHERE id = ?", (key_id,)).fetchone()
            key = None if row is None else decode(row[0], ApiKey)
            if key is None or key.revoked_at_s is not None:
                return key
            revoked = replace(key, revoked_at_s=at_s)
            connection.execute(
                "REPLACE INTO keys (id, created_at_s, body) VALUES (?, ?, ?)",
                (key_id, key.created_at_s, encode(revoked)),
            )
            return revoked


def insert_key(connection: sqlite3.Connection, key: ApiKey) -> bool:
    """Insert a key. Return False, and write nothing, if there is a key with its id."""
    inserted = connection.execute(
        "INSERT INTO keys (id, created_at_s, body) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (key.id, key.created_at_s, encode(key)),
    )
    return inserted.rowcount == 1
