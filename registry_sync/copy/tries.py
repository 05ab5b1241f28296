"""When a version is tried: at once, again after growing pauses, and when its manifest may be another one."""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from registry_sync.copy.due import VersionName
from registry_sync.copy.names import Book
from registry_sync.copy.wanted import Want
from registry_sync.registries.texts import read_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest

_FIRST_PAUSE_S = 30.0
_FIRST_UNAVAILABLE_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 600.0
_CHECK_EVERY_S = 5.0
"""How often the registry is asked if the manifest of a version that failed is another one."""


class _Last(NamedTuple):
    failures: int
    next_s: float
    check_s: float


class Tries:
    """Used by one thread. `has_passed` says if the version of a manifest has passed its trial on this machine."""

    def __init__(self, book: Book, has_passed: Callable[[Manifest], bool]) -> None:
        self._book = book
        self._has_passed = has_passed
        self._last: dict[VersionName, _Last] = {}
        self._passed: set[tuple[VersionName, str]] = set()

    def due(
        self, missing: Collection[VersionName], needed: Iterable[VersionName], wants: Iterable[Want], now_s: float
    ) -> dict[VersionName, bool]:
        """Return the versions to be tried now: True, or False to look only if the manifest is another one."""
        since_s = {(want.model, want.version): want.since_s for want in wants if not want.is_details}
        found = {}
        for name in missing:
            last = self._last.get(name)
            if last is None or now_s >= last.next_s or self._book.version(*name).tried_s < since_s.get(name, 0.0):
                found[name] = True
            elif now_s >= last.check_s:
                found[name] = False
        for name in set(needed).difference(missing):
            last = self._last.get(name)
            if (last is None or now_s >= last.check_s) and not self._is_settled(name):
                found[name] = False
        return found

    def has_failed(self, name: VersionName) -> bool:
        """Return True if the last try of a version failed."""
        last = self._last.get(name)
        return last is not None and last.failures > 0

    def note(self, name: VersionName, trouble: str | None, now_s: float) -> None:
        """Note how a try ended: None says that nothing was new."""
        last = self._last.get(name, _Last(0, now_s, now_s))
        if trouble:
            is_unavailable = self._book.version(*name).kind == "unavailable"
            first_s = _FIRST_UNAVAILABLE_PAUSE_S if is_unavailable else _FIRST_PAUSE_S
            pause_s = min(first_s * 2.0**last.failures, _LONGEST_PAUSE_S)
            last = _Last(min(last.failures + 1, 20), now_s + pause_s, now_s)
        elif trouble is not None:
            last = _Last(0, now_s, now_s)
        self._last[name] = last._replace(check_s=now_s + _CHECK_EVERY_S)

    def retain(self, needed: Collection[VersionName]) -> None:
        """Forget all other versions."""
        self._last = {name: last for name, last in self._last.items() if name in needed}
        self._passed = {each for each in self._passed if each[0] in needed}

    def _is_settled(self, name: VersionName) -> bool:
        """Return True if a version never changes any more. It is asked once for each that has passed."""
        text = self._book.version(*name).manifest
        if (name, text) in self._passed:
            return True
        try:
            manifest = read_manifest(text)
        except ModelRefused:  # a version of the gateway with other limits wrote it
            return False
        if not self._has_passed(manifest):
            return False
        self._passed.add((name, text))
        return True
