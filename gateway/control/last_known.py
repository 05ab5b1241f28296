"""The file with the last known state of the store. With it replicas can start and serve while the store is away.

There is one file per home. It is replaced as a whole whenever something changes. It belongs to the store of one URL: a
gateway that is pointed at another store ignores it.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from registry_sync.copy.whole_file import write_whole
from router.document.stored import from_dict, to_dict
from router.errors import Corrupt
from store.api_key import ApiKey
from store.entry import Change, Entry
from store.revision import Revision

_log = structlog.get_logger()


class StoreState(msgspec.Struct, frozen=True):
    """The last known state of a store: its revision, the newest version of each document, and the keys."""

    revision: Revision = Revision("", 0)
    entries: Mapping[str, Entry] = {}
    keys: Sequence[ApiKey] = ()


class _Encoded(NamedTuple):
    """An entry, and its form in the file."""

    entry: Entry
    text: msgspec.Raw


class _File(msgspec.Struct, frozen=True):
    store: str
    revision: Revision
    documents: list[tuple[dict[str, Any], Change]]
    keys: list[ApiKey]


class LastKnownFile:
    """The file. Several replicas of a machine may write it; the last writer wins. The companion only reads it."""

    def __init__(self, path: Path, store_url: str, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self._path = path
        self._store = hashlib.sha256(store_url.encode()).hexdigest()[:16]  # the URL may hold a password
        self._kept = StoreState()
        self._encoded: Mapping[str, _Encoded] = {}

    def load(self) -> StoreState:
        """Read the state. It is empty if there is no file, or if the file is damaged or of another store."""
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
            entries = [Entry(from_dict(document), change) for document, change in file.documents]
        except (OSError, msgspec.DecodeError, Corrupt) as error:
            if not isinstance(error, FileNotFoundError):
                _log.warning("gateway.memory.unreadable", path=str(self._path), error=str(error))
            return StoreState()
        if file.store != self._store:
            return StoreState()
        self._kept = StoreState(file.revision, {each.document.spec.route: each for each in entries}, file.keys)
        return self._kept

    def set_aside(self, identity: str) -> None:
        """Copy the file under the identity of its store, before the state of another store replaces it."""
        if self._read_only:
            return
        kept = self._path.with_name(f"{self._path.stem}.{identity}{self._path.suffix}")
        try:
            shutil.copyfile(self._path, kept)
        except OSError as error:
            _log.warning("gateway.memory.not_set_aside", path=str(kept), error=str(error))
        else:
            _log.warning("gateway.memory.set_aside", path=str(kept))

    def keep(self, state: StoreState) -> None:
        """Replace the file if the state has changed. A disk error is logged, not raised."""
        if self._read_only or state == self._kept:
            return
        before = self._encoded
        self._encoded = {route: _encode(entry, before.get(route)) for route, entry in state.entries.items()}
        file = {
            "store": self._store,
            "revision": state.revision,
            "documents": [each.text for each in self._encoded.values()],
            "keys": list(state.keys),
        }
        try:
            write_whole(self._path, msgspec.json.encode(file), is_lasting=False)
        except OSError as error:
            _log.warning("gateway.memory.not_kept", path=str(self._path), error=str(error))
            return
        self._kept = state


def _encode(entry: Entry, known: _Encoded | None) -> _Encoded:
    """Encode an entry, unless it is the one that was encoded before. A thousand take 80 ms."""
    if known is not None and known.entry is entry:
        return known
    return _Encoded(entry, msgspec.Raw(msgspec.json.encode((to_dict(entry.document), entry.change))))
