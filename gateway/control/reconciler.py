"""Keeps the live table of one replica at what the store and the registry say. Acts, level-triggered, in a thread.

A tick compares and, where something differs, builds a new table and swaps it in. A route that cannot be built keeps
its last good form (or stays absent) and is named among the problems; the others go on. A missed tick changes nothing.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.control.binding import Binding, bind, placement_named, placement_of, places
from gateway.control.desired_state import DesiredState
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.lane_pool import LanePool
from gateway.inference.live_table import LiveTableHolder, Served, join
from gateway.inference.targeting import Targeting
from registry_sync.catalogue import Catalogue, Version
from registry_sync.errors import RegistryError
from router.document.document import Document
from router.errors import RouterError
from router.snapshot import Pin, Route, compile_route, references
from runtimes.errors import ModelFailed, ModelRefused
from store.api_key import ApiKey
from store.errors import StoreUnavailable
from store.interface import Report, Store

_log = structlog.get_logger()

_REPORT_EVERY_S = 1.0
_SETTLE_EVERY_S = 0.5
_LEAST_PAUSE_S = 0.02  # between two ticks, however often the store says that something has changed

Built = tuple[Route, Served]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which replica this is."""

    name: str
    pid: int
    started_s: float


class Reconciler:
    """One per replica. `tick` is called by one thread at a time."""

    def __init__(
        self,
        identity: Identity,
        store: Store,
        wanted: DesiredState,
        catalogue: Catalogue,
        lanes: LanePool,
        holder: LiveTableHolder,
        registry_every_s: float,
        take_keys: Callable[[Sequence[ApiKey]], None] | None = None,
    ) -> None:
        self.heard_s = time.monotonic()
        self._identity = identity
        self._store = store
        self._wanted = wanted
        self._catalogue = catalogue
        self._lanes = lanes
        self._holder = holder
        self._registry_every_s = registry_every_s
        self._take_keys = take_keys
        self._built: dict[str, Built] = {}
        self._is_built = False
        self._trouble = ""
        self._resolved_s = float("-inf")
        self._reported_s = float("-inf")
        if take_keys is not None and wanted.known.keys:
            take_keys(wanted.known.keys)  # until the store says which there are now

    def run(self, stop: threading.Event, every_s: float, after_tick: Callable[[], None]) -> None:
        """Ticks until `stop` is set, then takes this replica's report back."""
        while not stop.wait(_LEAST_PAUSE_S):
            try:
                self._store.await_change(every_s)
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
            StoreUnavailable: the store was not read even once, and nothing is remembered of it.
        """
        until_s = time.monotonic() + patience_s
        self.tick(time.monotonic())
        while (not self._is_built or self._holder.current.problems) and time.monotonic() < until_s:
            time.sleep(_SETTLE_EVERY_S)
            self._resolved_s = float("-inf")
            self.tick(time.monotonic())
        if not self._is_built:
            raise StoreUnavailable("The store could not be read; see the log for why.")

    def tick(self, now_s: float) -> None:
        """One comparison; never raises what the store or the registry may raise."""
        is_new = self._look()
        swapped = False
        if self._wanted.is_heard or self._wanted.known.entries:
            is_due = not self._is_built or now_s - self._resolved_s >= self._registry_every_s
            if is_new or is_due or self._lanes.has_news():
                swapped = self._rebuild(is_resolving=is_due)
                self._is_built = True
            if is_due:
                self._resolved_s = now_s
        if swapped or now_s - self._reported_s >= _REPORT_EVERY_S:
            self._tell(now_s)

    def _look(self) -> bool:
        """Whether the store has something new; while it does not answer, nothing is."""
        wanted = self._wanted
        try:
            is_new = wanted.look()
            if self._take_keys is not None:
                keys = wanted.look_for_keys()
                if keys is not None:
                    self._take_keys(keys)
            self.heard_s = time.monotonic()
        except (StoreUnavailable, RouterError) as error:
            self._note_trouble(str(error))
            return False
        self._note_trouble(wanted.trouble)
        return is_new

    def _note_trouble(self, trouble: str) -> None:
        """Says once what is wrong with the store, and once that it is well again."""
        if trouble and not self._trouble:
            _log.warning("gateway.refresh.store_failed", error=trouble)
        elif self._trouble and not trouble:
            _log.info("gateway.refresh.store_answers")
        self._trouble = trouble

    def _tell(self, now_s: float) -> None:
        try:
            self._store.report(self.report())
            self._reported_s = now_s
        except StoreUnavailable as error:
            self._note_trouble(str(error))

    def _rebuild(self, *, is_resolving: bool) -> bool:
        """Builds what has changed, or everything if the registry is to be asked again; swaps if the outcome differs
        from what is live.
        """
        wanted, before = self._wanted, self._holder.current
        built: dict[str, Built] = {}
        problems, warnings = dict(wanted.corrupt), dict[str, str]()
        documents = wanted.documents  # of a route that cannot be read, the last one that could
        for name, document in documents.items():
            known = self._built.get(name)
            is_settled = name not in before.problems and name not in before.warnings
            if known is not None and known[0].document_version == document.version and is_settled and not is_resolving:
                built[name] = known
                continue
            try:
                built[name] = self._build(document, {} if is_resolving else self._held(document, known), warnings)
            except (ModelFailed, ModelRefused, RegistryError, RouterError) as error:
                problems[name] = str(error)
                if known is not None:
                    built[name] = self._with_what_there_is(document, known, warnings)
        if self._catalogue.trouble:
            warnings = dict.fromkeys(built, self._catalogue.trouble) | warnings
        self._forget_unused(documents, built, problems, warnings)
        after = join(built, wanted.known.revision.number, problems, warnings)
        same = (after.snapshot.hash, problems, warnings) == (before.snapshot.hash, before.problems, before.warnings)
        if same and after.revision == before.revision and built == self._built:
            return False
        self._holder.current = after
        self._built = built
        _log.info(
            "gateway.snapshot.live", snapshot=repr(after.snapshot), problems=dict(problems), warnings=dict(warnings)
        )
        return True

    def _held(self, document: Document, known: Built | None) -> dict[str, Version]:
        """The versions that the names of a document were bound to, as far as they still mean the same."""
        if known is None:
            return {}
        served, refs = known[1], references(document)
        names = {**served.arms, **served.shadows}
        return {name: version for name, (version, _) in names.items() if served.refs.get(name) == refs.get(name)}

    def _with_what_there_is(self, document: Document, known: Built, warnings: dict[str, str]) -> Built:
        """A change takes effect, an abort above all, also where an alias names by now what cannot be served."""
        if known[0].document_version == document.version:
            return known
        try:
            return self._build(document, self._held(document, known), warnings)
        except (ModelFailed, ModelRefused, RegistryError, RouterError):
            return known

    def _build(self, document: Document, held: Mapping[str, Version], warnings: dict[str, str]) -> Built:
        spec = document.spec
        bound = bind(self._catalogue, document, held=held)
        lanes = {
            name: (version, self._lanes.lane(version, placement_of(spec, version.manifest)))
            for name, version in bound.arms.items()
        }
        shadows = self._shadows(document, bound, warnings)
        pins = {
            name: Pin(version.key.version, version.key.digest) for name, (version, _) in {**shadows, **lanes}.items()
        }
        route = compile_route(document, pins)
        known = self._built.get(route.name)
        if known is not None and known[0].hash == route.hash and _same(known[1], lanes, shadows):
            return known
        target = None if spec.target is None else _target(spec.target, next(iter(bound.arms.values())))
        return route, Served(lanes, shadows, target, references(document))

    def _shadows(self, document: Document, bound: Binding, warnings: dict[str, str]) -> dict[str, tuple[Version, Lane]]:
        """Those that can run now. Nobody waits for the others: they come with a later tick, or stay a warning."""
        shadows: dict[str, tuple[Version, Lane]] = {}
        missing = dict(bound.without)
        for shadow in document.active_shadows:
            version = bound.shadows.get(shadow.name)
            if version is None:
                continue
            try:
                lane = self._lanes.lane(version, placement_named(shadow.placement), is_shadow=True)
            except (ModelFailed, ModelRefused) as error:
                missing[shadow.name] = str(error)
            else:
                shadows[shadow.name] = (version, lane)
        if missing:
            said = "; ".join(f"{name}: {why}" for name, why in missing.items())
            warnings[document.spec.route] = f"Served without {said}"
        return shadows

    def _forget_unused(
        self,
        documents: Mapping[str, Document],
        built: Mapping[str, Built],
        problems: Mapping[str, str],
        warnings: Mapping[str, str],
    ) -> None:
        """What a route names that cannot be built yet is not unused: it would be loaded and dropped at every tick."""
        used: set[LaneKey] = set()
        for _, served in built.values():
            used |= {lane.key for _, lane in (*served.arms.values(), *served.shadows.values())}
        for name in (problems.keys() | warnings.keys()) & documents.keys():
            used |= places(self._catalogue, documents[name])
        self._catalogue.retain({key.version for key in used})
        self._lanes.retain(used, is_all=not problems)

    def report(self) -> Report:
        """What this replica says of itself now."""
        live = self._holder.current
        return Report(
            replica=self._identity.name,
            pid=self._identity.pid,
            at_s=time.time(),
            started_s=self._identity.started_s,
            snapshot_hash=live.snapshot.hash,
            routes={name: route.document_version for name, route in live.snapshot.routes.items()},
            problems=live.problems,
            warnings=live.warnings,
            trouble=self._trouble,
        )


def _same(known: Served, *served: Mapping[str, tuple[Version, Lane]]) -> bool:
    """Whether not only the artifacts but also what their manifests say of them, and where they run, are the same."""
    for before, now in zip((known.arms, known.shadows), served, strict=True):
        if before.keys() != now.keys():
            return False
        for name, (version, lane) in now.items():
            if before[name][0].manifest != version.manifest or before[name][1] is not lane:
                return False
    return True


def _target(condition: Mapping[str, Any], version: Version) -> Targeting:
    """A route's condition, compiled for what its versions take."""
    unbatched = {spec.name for spec in version.manifest.inputs if spec.shape[:1] != (-1,)}
    return Targeting(condition, unbatched)
