"""Keeps the live table of one replica equal to what the store and the registry say. Runs in a background thread.

Each tick compares. Where something differs, it builds a new table and swaps it in. A route that cannot be built keeps
its last good form, or stays absent, and is named among the problems; the other routes go on. Since a tick compares
states and does not follow events, a missed tick changes nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from gateway.control.desired_state import DesiredState
from gateway.control.report import Identity, make_report
from gateway.control.route_builder import BUILD_ERRORS, Built, RouteBuilder
from gateway.execution.lane_pool import LanePool
from gateway.inference.live_table import LiveTable, LiveTableHolder, join
from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every
from registry_sync.catalogue import Catalogue
from router.errors import RouterError
from store.api_key import ApiKey
from store.errors import StoreUnavailable
from store.interface import Report, Store

_log = structlog.get_logger()

_REPORT_EVERY_S = 1.0
_SETTLE_EVERY_S = 0.5
_MOST_LOGGED = 20  # routes in the log's line about a change
_LEAST_PAUSE_S = 0.02  # between two ticks, however often the store says that something has changed


def _nothing(_: LiveTable) -> None:
    pass


class Reconciler:
    """One per replica. `tick` is called by one thread at a time.

    `store_contact_s` is when the store last answered, by the monotonic clock. `take_keys` gets the API keys whenever
    they have changed, `after_swap` each new live table.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        store: Store,
        desired: DesiredState,
        catalogue: Catalogue,
        lanes: LanePool,
        holder: LiveTableHolder,
        registry_every_s: float,
        take_keys: Callable[[Sequence[ApiKey]], None] | None = None,
        after_swap: Callable[[LiveTable], None] = _nothing,
    ) -> None:
        self.store_contact_s = time.monotonic()
        self._identity = identity
        self._store = store
        self._desired = desired
        self._catalogue = catalogue
        self._lanes = lanes
        self._holder = holder
        self._registry_every_s = registry_every_s
        self._take_keys = take_keys
        self._after_swap = after_swap
        self._builder = RouteBuilder(catalogue, lanes)
        self._built: dict[str, Built] = {}
        self._is_built = False
        self._outage = LogOnce("gateway.refresh.store_failed", over="gateway.refresh.store_answers")
        self._resolved_s = float("-inf")
        self._reported_s = float("-inf")
        if take_keys is not None and desired.known.keys:
            take_keys(desired.known.keys)  # until the store has been read

    def run(self, stop: threading.Event, every_s: float) -> None:
        """Tick until `stop` is set, at the latest every `every_s` seconds; then withdraw this replica's report."""
        run_every(
            stop,
            _LEAST_PAUSE_S,
            PeriodicJob(lambda: self._await_change_and_tick(every_s), "gateway.refresh.failed"),
        )
        try:
            self._store.retire(self._identity.name)
        except StoreUnavailable as error:
            _log.warning("gateway.refresh.not_retired", error=str(error))

    def settle(self, patience_s: float) -> None:
        """Tick until every declared route is served, or until `patience_s` is over. Later ticks try the rest again.

        Raises:
            StoreUnavailable: the store was not read even once, and no earlier state of it is known.
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
        """Compare once, at `now_s` of the monotonic clock. Never raise an error of the store or the registry."""
        is_new = self._look()
        swapped = False
        if self._desired.was_read or self._desired.known.entries:
            is_due = not self._is_built or now_s - self._resolved_s >= self._registry_every_s
            if is_new or is_due or self._lanes.has_news():
                swapped = self._rebuild(is_resolving=is_due)
                self._is_built = True
            if is_due:
                self._resolved_s = now_s
        if swapped or now_s - self._reported_s >= _REPORT_EVERY_S:
            self._send_report(now_s)

    def report(self) -> Report:
        """Return this replica's report of now."""
        return make_report(self._identity, self._holder.current, self._outage.trouble)

    def _await_change_and_tick(self, timeout_s: float) -> None:
        self._store.await_change(timeout_s)
        self.tick(time.monotonic())

    def _look(self) -> bool:
        """Read the store. Return True if something is new; False also while the store does not answer."""
        try:
            is_new = self._desired.look()
            if self._take_keys is not None:
                keys = self._desired.look_for_keys()
                if keys is not None:
                    self._take_keys(keys)
            self.store_contact_s = time.monotonic()
        except (StoreUnavailable, RouterError) as error:
            self._outage.note(str(error))
            return False
        self._outage.note(self._desired.trouble)
        return is_new

    def _send_report(self, now_s: float) -> None:
        try:
            self._store.report(self.report())
            self._reported_s = now_s
        except StoreUnavailable as error:
            self._outage.note(str(error))

    def _rebuild(self, *, is_resolving: bool) -> bool:
        """Build the routes that have changed, or all of them if `is_resolving`. Return True if a new table is live."""
        before = self._holder.current
        built: dict[str, Built] = {}
        problems, warnings = dict(self._desired.corrupt), dict[str, str]()
        if is_resolving:
            self._catalogue.look({ref for _, served in self._built.values() for ref in served.refs.values()})
        documents = self._desired.documents  # of a route that cannot be read, the last document that could
        for name, document in documents.items():
            known = self._built.get(name)
            is_settled = name not in before.problems and name not in before.warnings
            is_same = known is not None and known[0].document_version == document.version and is_settled
            if known is not None and is_same and (not is_resolving or self._builder.is_current(known)):
                built[name] = known
                continue
            try:
                built[name] = self._builder.build(document, known, warnings, is_resolving=is_resolving)
            except BUILD_ERRORS as error:
                problems[name] = str(error)
                if known is not None:
                    built[name] = self._builder.rebuild_from_held(document, known, warnings)
        if self._catalogue.trouble:
            warnings = dict.fromkeys(built, self._catalogue.trouble) | warnings
        self._builder.forget_unused(documents, built, problems, warnings)
        return self._swap(built, problems, warnings)

    def _swap(self, built: dict[str, Built], problems: dict[str, str], warnings: dict[str, str]) -> bool:
        """Put the new table in place. Return False if it is the one that is live already."""
        before, revision = self._holder.current, self._desired.known.revision.number
        is_same = (revision, problems, warnings) == (before.revision, before.problems, before.warnings)
        if is_same and built == self._built:
            return False
        after = join(built, revision, problems, warnings)
        self._holder.current = after
        self._built = built
        self._after_swap(after)
        changed = [route for name, (route, _) in built.items() if before.snapshot.routes.get(name) is not route]
        _log.info(
            "gateway.snapshot.live",
            snapshot=after.snapshot.hash,
            routes=len(built),
            changed=list(map(repr, changed[:_MOST_LOGGED])),
            problems=dict(problems),
            warnings=dict(warnings),
        )
        return True
