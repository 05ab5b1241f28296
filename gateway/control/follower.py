"""Finds out what is due because aliases have moved, for all routes of one machine.

What is due follows from the document and from what its aliases name (`router.document.follow`). A change is made only
if all versions that the route would serve have passed their trial on this machine. Nothing here waits. A route with
nothing due is looked at again once its document changes, or one of its aliases. One that waits for a version, which
costs most, is looked at when a trial has ended, and now and then.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from gateway.control.binding import bind
from gateway.control.version_loader import Versions
from registry_sync.details_reader import DetailsReader
from registry_sync.errors import RegistryError, RegistryUnavailable
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries import Details
from registry_sync.version import VersionKey, VersionState
from router.compile import references
from router.document.apply import apply
from router.document.commands import Bind, Command, Follow
from router.document.document import Candidate, Document
from router.document.follow import FollowDue, Named, differs, following
from router.errors import Rejected
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused, StillLoading

Require = Callable[[Document, str, VersionKey], None]
"""Raises unless a version may be bound to a name of a document: see `AskedVersions.require`."""

_WHOLE_EVERY_S = 2.0
"""How often routes that wait for a version are looked at: a replica may have tried it."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A document, its references that name an alias, and when it was seen first, by the clock."""

    document: Document
    aliases: Mapping[str, ArmRef]
    at_s: float


class Follower:
    """Used by one thread. `waits` says by route what a name waits for before it follows its alias.

    `require` is asked of each version that a name would be bound to, once the version has passed its trial. `is_whole`
    says that the last look left out no route that may need something.
    """

    def __init__(
        self,
        reader: ReferenceReader,
        details: DetailsReader,
        versions: Versions,
        clock: Callable[[], float] = time.monotonic,
        require: Require = lambda document, name, key: None,  # noqa: ARG005  # the type's
    ) -> None:
        self.waits: dict[str, str] = {}
        self.refs: frozenset[ArmRef] = frozenset()
        self.is_whole = True
        self._reader = reader
        self._details = details
        self._versions = versions
        self._require = require
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._settled: set[str] = set()
        self._waiting: set[str] = set()
        self._whole_s = float("-inf")
        self._since_s: dict[ArmRef, tuple[Candidate | None, float]] = {}
        self._asked: set[VersionKey] = set()

    def unsettled(self, documents: Mapping[str, Document]) -> Iterator[tuple[str, Document]]:
        """Yield the routes at which something may be due. The others cost one comparison."""
        self._see(documents)
        now_s, has_news = self._clock(), [self._versions.has_news(), self._reader.has_news()]
        self.is_whole = not self._waiting or any(has_news) or now_s - self._whole_s >= _WHOLE_EVERY_S
        if self.is_whole:
            self._whole_s = now_s
            self._waiting = set()
            self._details.retain(self._asked)
            self._asked = set()
        for route in [route for route in self._seen if route not in self._settled and route not in self._waiting]:
            yield route, self._seen[route].document

    def due(self, route: str, now_s: float) -> FollowDue | None:
        """Return the change that is due to a route and possible, at `now_s` in seconds since the epoch."""
        seen, named, unread = self._seen[route], dict[str, Named](), dict[ArmRef, str]()
        is_known = True
        for name, ref in seen.aliases.items():
            each, trouble = self._named(seen, name, ref, now_s), self._reader.trouble(ref)
            if each is not None:
                named[name] = each
            elif trouble and self._is_new(seen, ref):
                unread[ref] = f"{ref} is not followed: {trouble}"
            else:
                is_known = False
        found = following(seen.document, named, now_s)
        due, troubles = self._possible(seen.document, found.due)
        waits = [*unread.values(), *found.waits, *troubles]
        if is_known:
            if waits:
                self.waits[route] = " ".join(dict.fromkeys(waits))
            else:
                self.waits.pop(route, None)
            if not found.due and not found.may_pass:
                self._settled.add(route)
            elif due is None and found.due:
                self._waiting.add(route)
        return due

    def _see(self, documents: Mapping[str, Document]) -> None:
        """Note which documents and aliases have changed."""
        now_s, has_news = self._clock(), len(documents) != len(self._seen)
        for route, document in documents.items():
            seen = self._seen.get(route)
            if seen is not None and (seen.document is document or seen.document == document):
                continue
            self._seen[route] = _Seen(document, document.spec.aliases, now_s)
            self._settled.discard(route)
            self._waiting.discard(route)
            has_news = True
        if has_news:
            self._forget(self._seen.keys() - documents.keys())
        changed = self._reader.take_changed()
        if changed:
            idle = self._settled | self._waiting
            moved = {route for route in idle if changed & set(self._seen[route].aliases.values())}
            self._settled -= moved
            self._waiting -= moved

    def _forget(self, gone: set[str]) -> None:
        for route in gone:
            del self._seen[route]
            self.waits.pop(route, None)
        self._settled -= gone
        self._waiting -= gone
        self.refs = frozenset(ref for seen in self._seen.values() for ref in seen.aliases.values())
        self._since_s = {ref: since for ref, since in self._since_s.items() if ref in self.refs}

    def _is_new(self, seen: _Seen, ref: ArmRef) -> bool:
        """Return True if the registry was asked for an alias after the document was seen.

        An older answer does not count: another machine may have followed the alias since, and this one would lead it
        back.
        """
        return self._reader.asked_s(ref) >= seen.at_s

    def _named(self, seen: _Seen, name: str, ref: ArmRef, now_s: float) -> Named | None:
        """Return what an alias names, or None if that is not known."""
        try:
            key, _ = self._reader.resolve(ref)
        except (StillLoading, RegistryUnavailable):
            return None
        except (RegistryError, ModelRefused) as error:
            self._since(ref, None, now_s)
            return Named(None, trouble=str(error))
        candidate = Candidate(key.version, key.digest)
        since_s = self._since(ref, candidate, now_s)
        if not self._is_new(seen, ref):
            self._reader.ask_again(ref, seen.at_s)
            return None
        if self._reader.trouble(ref):
            return None
        if not differs(seen.document, name, candidate):
            return Named(candidate, since_s=since_s)
        self._asked.add(key)
        try:
            details = self._details.details(key)
        except StillLoading:
            self._look_up(seen.document, ArmRef(ref.model, version=key.version))
            return Named(candidate, since_s=since_s) if seen.document.spec.require_tags else None
        except (RegistryError, ModelRefused):
            return Named(candidate, since_s=since_s)
        return Named(candidate, details.tags, since_s, origin=_origin(details))

    def _look_up(self, document: Document, ref: ArmRef) -> None:
        """Have everything read that a change will name, while the details of the new version are read."""
        for each in (ref, *(each for each in references(document).values() if each.value is None)):
            with suppress(RegistryError, ModelRefused):
                self._versions.resolve(each)

    def _since(self, ref: ArmRef, candidate: Candidate | None, now_s: float) -> float:
        """Return since when an alias names a version, as far as it was seen."""
        known = self._since_s.get(ref)
        if known is None or known[0] != candidate:
            known = self._since_s[ref] = candidate, now_s
        return known[1]

    def _possible(self, document: Document, due: tuple[FollowDue, ...]) -> tuple[FollowDue | None, list[str]]:
        """Return the first change after which all versions can be served here, or why there is none."""
        troubles = []
        for each in due:
            try:
                self._require_servable(document, each.command)
            except (RegistryError, ModelRefused, Rejected) as error:
                is_one = not isinstance(each.command, Bind) or len(each.command.bound) == 1
                if is_one:  # of several names, each is tried alone as well
                    troubles.append(f"{each.why} It is not followed yet: {error}")
            else:
                return each, troubles
        return None, troubles

    def _require_servable(self, document: Document, command: Command) -> None:
        """Require that all versions of a changed document are there, and that those that are new have been checked.

        Binding alone lets a name fail that the route does not need, and tries nothing that runs in another process.

        Raises:
            RegistryError, ModelRefused, Rejected: one cannot be served, or not yet.
        """
        after = apply(document, command)
        without, refs = bind(self._versions, after).without, references(after)
        for name in after.bound if isinstance(command, Bind | Follow) else ():
            if after.bound[name] == document.bound.get(name):
                continue
            if name in without:
                raise Rejected(without[name])
            version = self._versions.load(*self._versions.resolve(refs[name]))
            if version.state is not VersionState.READY:
                raise ModelRefused(version.reason)
            self._require(document, name, version.key)


def _origin(details: Details) -> str:
    """Return where a version comes from, as far as the registry knows."""
    known = [
        f"registered by {details.registered_by}" if details.registered_by else "",
        f"run {details.run_id}" if details.run_id else "",
    ]
    said = ", ".join(filter(None, known))
    return f" ({said})" if said else ""
