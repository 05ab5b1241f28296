"""Keeps a machine's copy of a registry: compares what is wanted with what is there, and fetches the difference.

It is level-triggered: a tick needs to know nothing of the ticks before. So a companion that was ended at any moment
leaves nothing to repair, and the next one goes on. Nothing here waits for the registry: the looks at it and the copies
run in threads, of which two begin at a time (`registry_sync.background`). One that takes long, or for ever, does not
hold up the others.
"""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

from registry_sync.background import Background, Pending, Start, in_daemon_thread
from registry_sync.copy.blobs import Blobs
from registry_sync.copy.copier import Adopt, Copier, no_adoption
from registry_sync.copy.due import VersionName, missing_versions, needed_models, needed_versions
from registry_sync.copy.looks import Looks
from registry_sync.copy.names import Book
from registry_sync.copy.room import Room
from registry_sync.copy.steps import Hook, no_hook
from registry_sync.copy.tries import Tries
from registry_sync.copy.wanted import Wants
from registry_sync.registries import RemoteRegistry
from router.spec.spec import ArmRef
from runtimes.manifest import Manifest


class Figures(NamedTuple):
    """What the metrics show. `good_s` is when the last look began that was answered, by the monotonic clock.

    `failed` are versions; one that is tried again and again counts once, until it is copied. `gone_versions` are needed
    versions that the registry does not have any more.
    """

    is_reachable: bool
    good_s: float
    copied: int
    failed: int
    copy_bytes: int
    gone_versions: int


class Sync:
    """One per machine. One thread calls `is_due` and `tick`.

    `has_passed` says if the version of a manifest has passed its trial: until then its copy may still be replaced.
    """

    def __init__(
        self,
        root: Path,
        registry: RemoteRegistry,
        *,
        adopt: Adopt = no_adoption,
        has_passed: Callable[[Manifest], bool] = lambda _: True,
        every_s: float = 2.0,
        max_bytes: int = 0,
        start: Start = in_daemon_thread,
        hook: Hook = no_hook,
    ) -> None:
        self._blobs = Blobs(root / "blobs", hook)
        self._blobs.remove_leftovers()
        self._book = Book(root)
        self._wants = Wants(root)
        self._stamp = 0
        self._looks = Looks(root, registry, self._book, every_s, start)
        self._tries = Tries(self._book, has_passed)
        self._room = Room(self._blobs, self._book, max_bytes)
        self._copier = Copier(registry, self._blobs, self._book, self._room.make, adopt, hook)
        self._copies = Background[VersionName, str | None](start, 0.0)
        self._copying: set[VersionName] = set()
        self._needed: frozenset[VersionName] = frozenset()
        self._copied = self._failed = 0

    @property
    def trouble(self) -> str:
        """Why the registry could not be read the last time, or an empty text."""
        return self._looks.state.trouble

    @property
    def troubles(self) -> dict[VersionName, str]:
        """Why versions that are needed could not be copied."""
        return {name: trouble for name in self._needed if (trouble := self._book.version(*name).trouble)}

    @property
    def figures(self) -> Figures:
        """What the metrics show."""
        state, models = self._looks.state, self._book.models
        known = [
            (models[model], models[model].versions.get(version)) for model, version in self._needed if model in models
        ]
        gone = sum(model.is_gone or (version is not None and version.is_gone) for model, version in known)
        return Figures(not state.trouble, state.asked_s, self._copied, self._failed, self._room.bytes, gone)

    def is_due(self, now_s: float) -> bool:
        """Return True if a tick has something to do. This is cheap: call it many times a second."""
        stamp = self._wants.stamp()
        has_news = [stamp != self._stamp, self._copies.has_news(), self._looks.is_due(now_s)]
        self._stamp = stamp
        return any(has_news)

    def tick(self, refs: Collection[ArmRef], now_s: float, *, may_evict: bool = True) -> None:
        """Compare once. `refs` are what documents name. `may_evict` says that all documents are known.

        Raises:
            OSError: the disk does not allow it. The next tick tries again.
        """
        wants = self._wants.read()
        models = needed_models(refs, wants)
        self._looks.tick(models, wants, self._needed, now_s)
        known = self._book.models
        self._needed = needed_versions(refs, wants, known)
        self._room.keep(self._needed, may_evict=may_evict)
        missing = missing_versions(self._needed, known, self._blobs.present())
        due = self._tries.due(missing, self._needed, wants, now_s)
        for name in sorted(self._copying | due.keys()):
            self._ask(name, due.get(name, True), now_s)
        self._tries.retain(self._needed)
        self._room.tidy(models)

    def _ask(self, name: VersionName, is_asked: bool, now_s: float) -> None:
        """Begin to copy a version, or take the result. A copy that is not needed any more goes on to its end."""
        try:
            trouble = self._copies.ask(name, partial(self._copy, name, is_asked))
        except Pending:
            self._copying.add(name)
            return
        except Exception as error:  # noqa: BLE001  # a fault of ours concerns this version alone, too
            trouble = repr(error)
        self._copying.discard(name)
        self._copied += trouble == ""
        self._failed += bool(trouble) and not self._tries.has_failed(name)
        self._tries.note(name, trouble, now_s)

    def _copy(self, name: VersionName, is_asked: bool) -> str | None:
        try:
            return self._copier.copy(*name, is_asked=is_asked)
        finally:
            self._room.release(name)
