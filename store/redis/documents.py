"""Versioned documents in Redis.

A version is never changed once it is written. So a version whose number was read can be fetched by the next command.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from router.document.document import Document
from router.errors import Corrupt
from store.api_key import ApiKey
from store.codec import decode_entry, encode, encode_document
from store.entry import Entry, NumberedEntry
from store.errors import Conflict, Foreign, Moved
from store.redis.connection import RedisConnection
from store.revision import Marks, Revision

_CHECK_WITH = "pointsman history"


class RedisDocuments(RedisConnection):
    """The documents of `store.interface.Store`."""

    def revision(self) -> Revision:
        """See `Store.revision`."""
        identity, number = self._execute("HMGET", self._names.store, "identity", "number")
        return Revision(identity or "", int(number or 0))

    def marks(self) -> Marks:
        """See `Store.marks`."""
        fields = ("identity", "number", "keys", "policies", "audited")
        identity, *numbers = self._execute("HMGET", self._names.store, *fields)
        number, keys, policies, audited = (int(each or 0) for each in numbers)
        return Marks(Revision(identity or "", number), keys, policies, audited)

    def routes(self) -> Sequence[str]:
        """See `Store.routes`."""
        return sorted(self._execute("HKEYS", self._names.routes))

    def documents(self) -> Mapping[str, Document]:
        """See `Store.documents`."""
        newest: dict[str, str] = self._execute("HGETALL", self._names.routes)
        entries = self._entries(list(newest.items()))
        return {entry.document.spec.route: entry.document for entry in entries}

    def read(self, route: str) -> Entry | None:
        """See `Store.read`."""
        newest = self._execute("HGET", self._names.routes, route)
        return None if newest is None else self._entries([(route, newest)])[0]

    def compare_and_set(self, entries: Sequence[Entry], at: int | None = None) -> None:
        """See `Store.compare_and_set`."""
        fixed = [self._names.store, self._names.routes, self._names.order]
        outcome, *details = self._write(
            "compare_and_set",
            [*fixed, *self._entry_keys(entries)],
            self._names.changed,
            "" if at is None else at,
            uuid.uuid4().hex,
            *_entry_arguments(entries),
            check_with=_CHECK_WITH,
        )
        if outcome == "moved" and at is not None:
            raise Moved(at, details[0])
        if outcome == "conflict":
            raise Conflict(*details)

    def history(self, route: str, limit: int) -> Sequence[Entry]:
        """See `Store.history`."""
        versions = self._execute("LRANGE", self._names.history(route), 0, limit - 1) if limit > 0 else []
        return self._entries([(route, version) for version in versions])

    def version(self, route: str, version: int) -> Entry | None:
        """See `Store.version`."""
        fields = self._execute("HMGET", self._names.document(route, version), "document", "change")
        return None if fields == [None, None] else _entry(fields)

    def changes(self, after: int, limit: int) -> Sequence[NumberedEntry]:
        """See `Store.changes`."""
        changes: list[NumberedEntry] = []
        while len(changes) < limit:
            places = self._execute("LRANGE", self._names.order, after, after + limit - 1)
            if not places:
                break
            versions = [tuple(reversed(place.split(" ", 1))) for place in places]
            for number, fields in enumerate(self._fields(versions), after + 1):
                after = number
                try:
                    changes.append(NumberedEntry(number, _entry(fields)))
                except Corrupt:
                    continue
        return changes[:limit]

    def audited(self) -> int:
        """See `Store.audited`."""
        return int(self._execute("HGET", self._names.store, "audited") or 0)

    def advance_audited(self, before: int, after: int) -> bool:
        """See `Store.advance_audited`."""
        return bool(self._write("advance_audited", [self._names.store], before, after)[0] == "advanced")

    def restore(self, identity: str, entries: Sequence[Entry], keys: Sequence[ApiKey]) -> Sequence[str]:
        """See `Store.restore`."""
        names = self._names
        fixed = [names.store, names.routes, names.order, names.api_keys, names.attempt(uuid.uuid4().hex)]
        outcome, *details = self._write(
            "restore",
            [*fixed, *self._entry_keys(entries)],
            names.changed,
            identity,
            len(entries),
            *_entry_arguments(entries),
            *(argument for key in keys for argument in (key.id, encode(key))),
            check_with=_CHECK_WITH,
        )
        if outcome == "foreign":
            raise Foreign(identity, details[0])
        return list(details)

    def _entries(self, versions: Sequence[tuple[str, ...]]) -> list[Entry]:
        return [_entry(fields) for fields in self._fields(versions)]

    def _fields(self, versions: Sequence[tuple[str, ...]]) -> list[Any]:
        """Return document and change of each route and version."""
        return self._execute_all(
            [("HMGET", self._names.document(route, version), "document", "change") for route, version in versions]
        )

    def _entry_keys(self, entries: Sequence[Entry]) -> list[str]:
        documents = [entry.document for entry in entries]
        return [
            key
            for document in documents
            for key in (
                self._names.document(document.spec.route, document.version),
                self._names.history(document.spec.route),
            )
        ]


def _entry_arguments(entries: Sequence[Entry]) -> list[str | int]:
    """Return the arguments for each entry. A change without an id gets one, shared by all tries of this attempt."""
    attempt = uuid.uuid4().hex
    return [
        argument
        for document, change in ((entry.document, entry.change) for entry in entries)
        for argument in (
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
