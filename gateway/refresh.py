"""Keeps the live table of one replica at what the store and the registry say. Acts, level-triggered, in a thread.

A tick compares and, where something differs, builds a new table and swaps it in. A route that cannot be built keeps
its last good form (or stays absent) and is named among the problems; the others go on. A missed tick changes nothing.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from control.errors import StoreUnavailable
from control.keys import ApiKey
from control.store import Report, Store
from gateway.arms import bind, named, placement_of
from gateway.lane import Lane, LaneKey
from gateway.lanes import Lanes
from gateway.live import Live, LiveHolder, join
from registry_sync.catalogue import Catalogue, Version
from registry_sync.errors import RegistryError
from router.document import Document
from router.errors import Corrupt, RouterError
from router.snapshot import Pin, Route, compile_route
from runtimes.errors import ModelFailed, ModelRefused

_log = structlog.get_logger()

_REPORT_EVERY_S = 1.0
_SETTLE_EVERY_S = 0.5

Built = tuple[Route, Mapping[str, tuple[Version, Lane]]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which replica this is."""

    name: str
    pid: int
    started_s: float


class Refresher:
    """One per replica. `tick` is called by one thread at a time."""

    def __init__(
        self,
        identity: Identity,
        store: Store,
        catalogue: Catalogue,
        lanes: Lanes,
        holder: LiveHolder,
        registry_every_s: float,
        take_keys: Callable[[Sequence[ApiKey]], None] | None = None,
    ) -> None:
        self.heard_s = time.monotonic()
        self._identity = identity
        self._store = store
        self._catalogue = catalogue
        self._lanes = lanes
        self._holder = holder
        self._registry_every_s = registry_every_s
        self._take_keys = take_keys
        self._keys_revision = -1
        self._documents: Mapping[str, Document] = {}
        self._corrupt: Mapping[str, str] = {}
        self._revision = -1
        self._built: dict[str, Built] = {}
        self._resolved_s = float("-inf")
        self._reported_s = float("-inf")

    def run(self, stop: threading.Event, every_s: float, after_tick: Callable[[], None]) -> None:
        """Ticks until `stop` is set, then takes this replica's report back."""
        while not stop.wait(every_s):
            try:
                self.tick(time.monotonic())
            except Exception:  # noqa: BLE001  # a thread that ended in silence would be worse than any of them
                _log.exception("gateway.refresh.failed")
            try:
                after_tick()
            except Exception:  # noqa: BLE001  # the same
                _log.exception("gateway.refresh.metrics_failed")
        try:
            self._store.retire(self._identity.name)
        except StoreUnavailable as error:
            _log.warning("gateway.refresh.not_retired", error=str(error))

    def settle(self, patience_s: float) -> None:
        """Ticks until everything declared is served, or for so long; what is missing then goes on being tried.

        Raises:
            StoreUnavailable: the store was not read even once.
        """
        until_s = time.monotonic() + patience_s
        self.tick(time.monotonic())
        while (self._revision < 0 or self._holder.current.problems) and time.monotonic() < until_s:
            time.sleep(_SETTLE_EVERY_S)
            self._resolved_s = float("-inf")
            self.tick(time.monotonic())
        if self._revision < 0:
            raise StoreUnavailable("The store could not be read; see the log for why.")

    def tick(self, now_s: float) -> None:
        """One comparison; never raises what the store or the registry may raise."""
        try:
            self._read_keys()
            changed = self._read()
            if changed or now_s - self._resolved_s >= self._registry_every_s:
                self._resolved_s = now_s
                swapped = self._rebuild()
            else:
                swapped = False
            if swapped or now_s - self._reported_s >= _REPORT_EVERY_S:
                self._store.report(self._report())
                self._reported_s = now_s
            self.heard_s = time.monotonic()
        except (StoreUnavailable, RouterError) as error:
            _log.warning("gateway.refresh.store_failed", error=str(error))

    def _read(self) -> bool:
        revision = self._store.revision()
        if revision == self._revision:
            return False
        documents: dict[str, Document] = {}
        corrupt: dict[str, str] = {}
        for route in self._store.routes():
            try:
                entry = self._store.read(route)
            except Corrupt as error:
                corrupt[route] = str(error)
            else:
                if entry is not None:
                    documents[route] = entry.document
        self._documents, self._corrupt, self._revision = documents, corrupt, revision
        return True

    def _read_keys(self) -> None:
        if self._take_keys is None:
            return
        revision = self._store.keys_revision()
        if revision != self._keys_revision:
            self._take_keys(self._store.keys())
            self._keys_revision = revision

    def _rebuild(self) -> bool:
        """Builds every route; swaps if the outcome differs from what is live."""
        built: dict[str, Built] = {}
        problems = dict(self._corrupt)
        built |= {name: self._built[name] for name in self._corrupt if name in self._built}
        for name, document in self._documents.items():
            try:
                built[name] = self._build(document)
            except (ModelFailed, ModelRefused, RegistryError, RouterError) as error:
                problems[name] = str(error)
                if name in self._built:
                    built[name] = self._built[name]
        self._forget_unused(built, problems)
        before = self._holder.current
        after = join(built, self._revision, problems)
        same = (after.snapshot.hash, after.problems) == (before.snapshot.hash, before.problems)
        if same and after.revision == before.revision and built == self._built:
            return False
        self._holder.current = after
        self._built = built
        _announce(after)
        return True

    def _build(self, document: Document) -> Built:
        versions = bind(self._catalogue, document.spec)
        pins = {name: Pin(version.key.version, version.key.digest) for name, version in versions.items()}
        route = compile_route(document, pins)
        known = self._built.get(route.name)
        if known is not None and known[0].hash == route.hash and _same(known[1], versions):
            return known
        return route, {
            name: (version, self._lanes.lane(version, placement_of(document.spec, version.manifest)))
            for name, version in versions.items()
        }

    def _forget_unused(self, built: Mapping[str, Built], problems: Mapping[str, str]) -> None:
        """What a route names that cannot be built yet is not unused: it would be loaded and dropped at every tick."""
        used = {lane.key for _, versions in built.values() for _, lane in versions.values()}
        for name in problems.keys() & self._documents.keys():
            used |= {LaneKey(*each) for each in named(self._catalogue, self._documents[name].spec)}
        self._catalogue.retain({key.version for key in used})
        self._lanes.retain(used, is_all=not problems)

    def _report(self) -> Report:
        live = self._holder.current
        return Report(
            replica=self._identity.name,
            pid=self._identity.pid,
            at_s=time.time(),
            started_s=self._identity.started_s,
            snapshot_hash=live.snapshot.hash,
            routes={name: route.document_version for name, route in live.snapshot.routes.items()},
            problems=live.problems,
        )


def _same(known: Mapping[str, tuple[Version, Lane]], versions: Mapping[str, Version]) -> bool:
    """Whether not only the artifacts but also what their manifests say of them are the same."""
    return all(known[name][0].manifest == version.manifest for name, version in versions.items())


def _announce(live: Live) -> None:
    _log.info("gateway.snapshot.live", snapshot=repr(live.snapshot), problems=dict(live.problems))
