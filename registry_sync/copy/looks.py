"""When the registry is looked at, and what is said of it meanwhile (`state.json`)."""

import random
import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

from msgspec import structs

from registry_sync.background import Background, Pending, Start
from registry_sync.copy import hurry_file
from registry_sync.copy.due import VersionName
from registry_sync.copy.look import Looked, look, note
from registry_sync.copy.names import Book, Names, State
from registry_sync.copy.wanted import Want
from registry_sync.registries import RemoteRegistry

_LOOK = "look"
_LEAST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 10.0
"""Between looks at a registry that does not answer."""
_JITTER = 0.1
_SILENT_AFTER_S = 5.0
_SHOWN_EVERY_S = 20.0
"""How often it is written that the companion runs, if the registry is asked less often."""
_DETAILS_EVERY_S = 30.0
_DETAILS_AT_ONCE = 20
_NEVER_S = float("-inf")


class Looks:
    """Used by one thread, which never waits: a look runs in a thread of its own, one at a time."""

    def __init__(self, root: Path, registry: RemoteRegistry, book: Book, every_s: float, start: Start) -> None:
        self._hurry = hurry_file(root)
        self._registry = registry
        self._book = book
        self._every_s = every_s
        self._running = Background[str, Looked](start, 0.0)
        self._is_running = False
        self._pause_s = every_s
        self._began_s = self._next_s = _NEVER_S
        self._asked_models: frozenset[str] = frozenset()
        self._asked_versions: list[VersionName] = []
        self._has_aliases = False
        self._is_behind = False
        self._tried: dict[VersionName, float] = {}
        self._details_s: dict[VersionName, float] = {}
        self._wanted: frozenset[VersionName] = frozenset()
        # The models stay: what was known of them before this process began is better than nothing.
        self.state = State(models=Names(root).state().models)
        self._say(self.state)

    def is_due(self, now_s: float) -> bool:
        """Return True if a look has ended or has found aliases, or one is to begin."""
        has_aliases, self._has_aliases = self._has_aliases, False
        is_behind = self._is_behind and not self._is_running and now_s - self._began_s >= _LEAST_PAUSE_S
        is_time = now_s >= self._next_s or now_s - self.state.written_s > _SHOWN_EVERY_S
        is_hurried = not self._is_running and self._hurry.exists()
        return self._running.has_news() or has_aliases or is_behind or is_time or is_hurried

    def tick(
        self, models: frozenset[str], wants: Collection[Want], needed: frozenset[VersionName], now_s: float
    ) -> None:
        """Begin a look if it is time, or note what it has found. `needed` are the versions whose details are read.

        Raises:
            OSError: the disk does not allow it.
        """
        if not self._is_running and self._is_time(models, wants, now_s):
            self._begin(models, wants, needed, now_s)
        if self._is_running:
            try:
                self._go_on(now_s)
            finally:  # the pause depends on how it went
                longest = 1.0 if self.state.trouble else 1 + _JITTER
                self._next_s = now_s + self._pause_s * random.uniform(1 - _JITTER, longest)  # noqa: S311  # no secret
        elif now_s - self.state.written_s > _SHOWN_EVERY_S:
            self._say(self.state)
        self._is_behind = self._is_asked(models, wants)  # it was asked for while a look was under way

    def _begin(
        self, models: frozenset[str], wants: Collection[Want], needed: frozenset[VersionName], now_s: float
    ) -> None:
        is_hurried = self._hurry.exists()
        self._hurry.unlink(missing_ok=True)
        self._is_running, self._began_s, self._asked_models = True, now_s, models
        self._wanted = self._wanted_details(wants)
        self._tried = {(want.model, want.version): want.since_s for want in wants if want.is_details}
        self._asked_versions = [*self._wanted, *self._details_due(needed - self._wanted, is_hurried, now_s)]
        self._work = partial(look, self._registry, models, self._asked_versions, self._take_aliases)

    def _go_on(self, now_s: float) -> None:
        try:
            found = self._running.ask(_LOOK, self._work)
        except Pending as pending:
            is_silent = pending.age_s > _SILENT_AFTER_S and not self.state.trouble
            failed = {"trouble": "The registry does not answer.", "failed_s": now_s} if is_silent else {}
            self._say(structs.replace(self.state, **failed))
        else:
            self._is_running = self._has_aliases = False
            self._take(found)

    def _take_aliases(self, found: Looked) -> None:
        """Note aliases before the look's end. This is called in the look's thread."""
        with suppress(OSError):  # it is noted again at the end
            note(self._book, found)
            self._has_aliases = True

    def _take(self, found: Looked) -> None:
        if found.trouble:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._say(structs.replace(self.state, trouble=found.trouble, failed_s=found.asked_s))
            return
        self._pause_s = self._every_s
        note(self._book, found, self._wanted)
        self._details_s |= dict.fromkeys(self._asked_versions, self._began_s)
        self._say(structs.replace(self.state, trouble="", asked_s=found.asked_s, models=found.models))

    def _is_time(self, models: frozenset[str], wants: Collection[Want], now_s: float) -> bool:
        if now_s >= self._next_s:
            return True
        is_soon = now_s - self._began_s < _LEAST_PAUSE_S
        return not is_soon and (self._is_asked(models, wants) or self._hurry.exists())

    def _is_asked(self, models: frozenset[str], wants: Collection[Want]) -> bool:
        """Return True if something is wanted for which the last look did not ask."""
        last_s = max(self.state.asked_s, self.state.failed_s)
        is_new = any(not want.version and want.since_s > last_s for want in wants)
        return is_new or not models <= self._asked_models or bool(self._wanted_details(wants))

    def _wanted_details(self, wants: Collection[Want]) -> frozenset[VersionName]:
        """Return the versions of which a command waits for the details, and for which no look has asked since."""
        asked = {(want.model, want.version): want.since_s for want in wants if want.is_details}
        return frozenset(
            name
            for name, since_s in asked.items()
            if since_s > max(self._tried.get(name, 0.0), self._book.version(*name).details_s)
        )

    def _details_due(self, needed: Collection[VersionName], is_hurried: bool, now_s: float) -> list[VersionName]:
        """Return some versions whose tags were not read for long, those before others that were read last."""
        known = {name: self._details_s.get(name, _NEVER_S) for name in needed}
        self._details_s = {name: at_s for name, at_s in self._details_s.items() if name in known}
        age_s = 0.0 if is_hurried else _DETAILS_EVERY_S
        return sorted((name for name in known if now_s - known[name] > age_s), key=lambda name: (known[name], name))[
            :_DETAILS_AT_ONCE
        ]

    def _say(self, state: State) -> None:
        self.state = structs.replace(state, written_s=time.monotonic())
        self._book.write_state(self.state)
