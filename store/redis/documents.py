"""Versioned documents in Redis. Acts.

Versions are never changed once they are written, so what one question has named the next can read.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from router.document.document import Document
from router.errors import Corrupt
from store.api_key import ApiKey
from store.codec import decode_entry, encode, encode_document
from store.errors import Conflict, Foreign, Moved
from store.interface import Entry, Numbered, Revision
from store.redis.connection import RedisConnection

_TELLS = "pointsman history"


class RedisDocuments(RedisConnection):
    """The part of `store.interface.Store` that is about documents."""

    def revision(self) -> Revision:
        """See `Store.revision`."""
        identity, number = self._ask("HMGET", self._keys.store, "identity", "number")
        return Revision(identity or "", int(number or 0))

    def routes(self) -> Sequence[str]:
        """See `Store.routes`."""
        return sorted(self._ask("HKEYS", self._keys.routes))

    def documents(self) -> Mapping[str, Document]:
        """See `Store.documents`."""
        newest: dict[str, str] = self._ask("HGETALL", self._keys.routes)
        entries = self._entries(list(newest.items()))
        return {entry.document.spec.route: entry.document for entry in entries}

    def read(self, route: str) -> Entry | None:
        """See `Store.read`."""
        newest = self._ask("HGET", self._keys.routes, route)
        return None if newest is None else self._entries([(route, newest)])[0]

    def compare_and_set(self, entries: Sequence[Entry], at: int | None = None) -> None:
        """See `Store.compare_and_set`."""
        fixed = [self._keys.store, self._keys.routes, self._keys.order]
        what, *details = self._write(
            "compare_and_set",
            [*fixed, *self._entry_keys(entries)],
            self._keys.changed,
            "" if at is None else at,
            uuid.uuid4().hex,
            *_entry_arguments(entries),
            tells=_TELLS,
        )
        if what == "moved" and at is not None:
            raise Moved(at, details[0])
        if what == "conflict":
            raise Conflict(*details)

    def history(self, route: str, limit: int) -> Sequence[Entry]:
        """See `Store.history`."""
        versions = self._ask("LRANGE", self._keys.history(route), 0, limit - 1) if limit > 0 else []
        return self._entries([(route, version) for version in versions])

    def version(self, route: str, version: int) -> Entry | None:
        """See `Store.version`."""
        fields = self._ask("HMGET", self._keys.document(route, version), "document", "change")
        return None if fields == [None, None] else _entry(fields)

    def changes(self, after: int, limit: int) -> Sequence[Numbered]:
        """See `Store.changes`."""
        changes: list[Numbered] = []
        while len(changes) < limit:
            lines = self._ask("LRANGE", self._keys.order, after, after + limit - 1)
            if not lines:
                break
            places = [tuple(reversed(line.split(" ", 1))) for line in lines]
            for number, fields in enumerate(self._fields(places), after + 1):
                after = number
                try:
                    changes.append(Numbered(number, _entry(fields)))
                except Corrupt:
                    continue
        return changes[:limit]

    def audited(self) -> int:
        """See `Store.audited`."""
        return int(self._ask("HGET", self._keys.store, "audited") or 0)

    def advance_audited(self, before: int, after: int) -> bool:
        """See `Store.advance_audited`."""
        return bool(self._write("advance_audited", [self._keys.store], before, after)[0] == "advanced")

    def restore(self, identity: str, entries: Sequence[Entry], keys: Sequence[ApiKey]) -> Sequence[str]:
        """See `Store.restore`."""
        names = self._keys
        fixed = [names.store, names.routes, names.order, names.api_keys, names.attempt(uuid.uuid4().hex)]
        what, *details = self._write(
            "restore",
            [*fixed, *self._entry_keys(entries)],
            names.changed,
            identity,
            len(entries),
            *_entry_arguments(entries),
            *(word for key in keys for word in (key.id, encode(key))),
            tells=_TELLS,
        )
        if what == "foreign":
            raise Foreign(identity, details[0])
        return list(details)

    def _entries(self, places: Sequence[tuple[str, ...]]) -> list[Entry]:
        return [_entry(fields) for fields in self._fields(places)]

    def _fields(self, places: Sequence[tuple[str, ...]]) -> list[Any]:
        """Document and change of each route and version."""
        return self._ask_all(
            [("HMGET", self._keys.document(route, version), "document", "change") for route, version in places]
        )

    def _entry_keys(self, entries: Sequence[Entry]) -> list[str]:
        documents = [entry.document for entry in entries]
        return [
            key
            for document in documents
            for key in (
                self._keys.document(document.spec.route, document.version),
                self._keys.history(document.spec.route),
            )
        ]


def _entry_arguments(entries: Sequence[Entry]) -> list[str | int]:
    """A change without an id gets one, for the tries of this one attempt."""
    attempt = uuid.uuid4().hex
    return [
        word
        for document, change in ((entry.document, entry.change) for entry in entries)
        for word in (
            document.spec.route,
            document.version,
            change.id or attempt,
            encode_document(document),
            encode(change),
        )
    ]


def _entry(fields: Sequence[str | None]) -> Entry:
    document, change = fields
    if document is None or change is None:
        raise Corrupt("A stored document is gone from the store.")
    return decode_entry(document, change)
