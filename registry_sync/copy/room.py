"""Room for the files of a copy: its limit is kept, and what is not needed any more leaves it."""

import threading
from collections.abc import Collection

from registry_sync.copy.blobs import Blobs, now_s
from registry_sync.copy.due import VersionName, is_whole, kept_digests
from registry_sync.copy.evict import limit_bytes, to_evict
from registry_sync.copy.names import Book
from registry_sync.errors import RegistryUnavailable

_JUST_USED_S = 60.0
"""A process may be about to read a file that it has just asked for."""


class Room:
    """`max_bytes` is the setting: 0 for the default. Any thread may call `make` and `release`, one calls `tidy`.

    `bytes` is the size of the copy.
    """

    def __init__(self, blobs: Blobs, book: Book, max_bytes: int) -> None:
        self.bytes = 0
        self._blobs = blobs
        self._book = book
        self._max_bytes = max_bytes
        self._needed: frozenset[VersionName] = frozenset()
        self._may_evict = False
        self._reserved: dict[VersionName, tuple[int, Collection[str]]] = {}
        self._lock = threading.Lock()

    def make(self, name: VersionName, digests: Collection[str], size: int) -> None:
        """Keep room for `size` bytes of a version, and keep its files that are here, until `release`.

        What is added to `digests` later is kept, too.

        Raises:
            RegistryUnavailable: what must stay leaves no room for it.
        """
        with self._lock:
            self._reserved[name] = size, digests
            limit, total = self._evict()
            if total > limit:
                del self._reserved[name]
                raise RegistryUnavailable(
                    f"{name[0]}:{name[1]} needs {size} bytes more; this machine's copy of the registry has room for "
                    f"{max(limit - total + size, 0)} beside what is needed (POINTSMAN_REGISTRY_COPY_MAX_BYTES)."
                )

    def release(self, name: VersionName) -> None:
        """Keep no room for a version any more: it is here, or could not be fetched."""
        with self._lock:
            self._reserved.pop(name, None)

    def keep(self, needed: frozenset[VersionName], *, may_evict: bool) -> None:
        """Remove nothing of these versions from now on; nothing at all unless `may_evict`."""
        with self._lock:
            self._needed, self._may_evict = needed, may_evict

    def tidy(self, models: Collection[str]) -> None:
        """Remove what is too much, and forget what is known of versions and models that are neither needed nor here.

        Raises:
            OSError: the disk does not allow it.
        """
        with self._lock:
            needed, may_evict = self._needed, self._may_evict
            self._evict()
        here = self._blobs.present()
        for model, known in self._book.models.items() if may_evict else ():
            gone = [v for v, each in known.versions.items() if (model, v) not in needed and not is_whole(each, here)]
            for version in gone:
                if (model, version) not in self._reserved:
                    self._book.set_version(model, version, None)
            if len(gone) == len(known.versions) and model not in models:
                self._book.forget(model)

    def _evict(self) -> tuple[int, int]:
        """Return the limit, and the size of the copy with what is being fetched. First remove what may go."""
        blobs = self._blobs.present()
        own = sum(blob.size for blob in blobs.values())
        limit = limit_bytes(self._max_bytes, self._blobs.free_bytes(), own)
        coming = sum(size for size, _ in self._reserved.values())
        if own + coming > limit and self._may_evict:
            kept = kept_digests(self._needed, self._book.models)
            kept.update(*(list(digests) for _, digests in self._reserved.values()))
            before_s = now_s() - _JUST_USED_S
            kept.update(digest for digest, blob in blobs.items() if blob.used_s > before_s)
            for digest in to_evict(blobs, kept, limit - coming):
                self._blobs.remove(digest)
                own -= blobs[digest].size
        self.bytes = own
        return limit, own + coming
