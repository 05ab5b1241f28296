"""Keeps the live table of one replica equal to what the store and the registry say. Runs in a background thread.

Each tick compares. Where something differs, it builds a new table and swaps it in. A route that cannot be built keeps
its last good form, or stays absent, and is named among the problems; the other routes go on. Since a tick compares
states and does not follow events, a missed tick changes nothing.

A tick waits for the store alone. The registry is read, versions are loaded and lanes are opened in other threads. So
weights, aborts, keys and reports never wait for that. A route whose new version is still loading takes its new weights
with the version that it has.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from gateway.control.cadence import Cadence
from gateway.control.desired_state import DesiredState
from gateway.control.report import Identity, make_report
from gateway.control.route_builder import Built, RouteBuilder
from gateway.control.swap_log import log_swap
from gateway.control.version_loader import VersionLoader
from gateway.control.waits_file import with_waits
from gateway.execution.lane_pool import LanePool
from gateway.inference.live_table import LiveTable, LiveTableHolder, join
from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every
from registry_sync.errors import RegistryError
from router.document.document import Document
from router.errors import RouterError
from router.spec.spec import ArmRef
from runtimes.errors import ModelFailed, ModelRefused, StillLoading
from store.api_key import ApiKey
from store.errors import StoreUnavailable
from store.interface import Store
from store.report import Report

_log = structlog.get_logger()

_REPORT_EVERY_S = 1.0
_SETTLE_EVERY_S = 0.1
_STALLED_AFTER_S = 5.0  # without a whole tick; then the replica is not ready: what it serves may be out of date
_SOON_S = 0.02
_BRIEFLY_S = 1.0  # after a change; most versions are there by then
_LONGEST_RETRY_S = 2.0  # what has news is built at once; this is for news that was missed
_LEAST_PAUSE_S = 0.02  # between two ticks, however often the store says that something has changed


def _nothing(_: LiveTable) -> None:
    pass


class Reconciler:
    """One per replica. `tick` is called by one thread at a time.

    `store_contact_s` is when the store last answered, by the monotonic clock. `take_keys` gets the API keys whenever
    they have changed, `after_swap` each new live table. `waits` says by route what an alias waits for, which is
    reported as a warning. A version that was replaced stays loaded for `keep_warm_s`.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        store: Store,
        desired: DesiredState,
        versions: VersionLoader,
        lanes: LanePool,
        holder: LiveTableHolder,
        retry_every_s: float,
        take_keys: Callable[[Sequence[ApiKey]], None] | None = None,
        after_swap: Callable[[LiveTable], None] = _nothing,
        waits: Callable[[], Mapping[str, str]] = dict,
        keep_warm_s: float = 0.0,
    ) -> None:
        self.store_contact_s = time.monotonic()
        self._identity = identity
        self._store = store
        self._desired = desired
        self._versions = versions
        self._lanes = lanes
        self._holder = holder
        self._retry_every_s = min(retry_every_s, _LONGEST_RETRY_S)
        self._take_keys = take_keys
        self._after_swap = after_swap
        self._waits = waits
        self._builder = RouteBuilder(versions, lanes, keep_warm_s)
        self._built: dict[str, Built] = {}
        self._is_built = False
        self._cadence = Cadence(random.Random().random)  # noqa: S311  # no secret; not the state that others use
        self._outage = LogOnce("gateway.refresh.store_failed", over="gateway.refresh.store_answers")
        self._retried_s = self._reported_s = float("-inf")
        self._ticked_s = time.monotonic()
        self._changed_s = self._ticked_s
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

    def begin(self, patience_s: float) -> None:
        """Tick until the store was read, or until `patience_s` is over. Versions may still be loading afterwards.

        Raises:
            StoreUnavailable: the store was not read even once, and no earlier state of it is known.
        """
        until_s = time.monotonic() + patience_s
        self.tick(time.monotonic())
        while not self._is_built and time.monotonic() < until_s:
            time.sleep(_SETTLE_EVERY_S)
            self.tick(time.monotonic())
        if not self._is_built:
            raise StoreUnavailable("The store could not be read; see the log for why.")

    def stall(self) -> str:
        """Return that no tick has ended for some seconds, or an empty text."""
        silent_s = time.monotonic() - self._ticked_s
        if silent_s < _STALLED_AFTER_S:
            return ""
        return f"Changes have not been followed for {silent_s:.0f} s."

    def tick(self, now_s: float, *, told: bool = False) -> None:
        """Compare once, at `now_s` of the monotonic clock. Never raise an error of the store or the registry.

        `told` is True if the store has told of a change since the last tick.
        """
        is_new = self._cadence.is_due(now_s, told=told) and self._look(now_s, told=told)
        swapped = False
        if self._desired.was_read or self._desired.known.entries:
            is_due = not self._is_built or now_s - self._retried_s >= self._retry_every_s
            renamed = self._versions.reader.take_changed()
            # All of them: each call clears its own.
            has_news = [self._versions.reader.has_news(), self._versions.has_news(), self._lanes.has_news()]
            if is_new:
                self._changed_s = time.monotonic()
            if is_new or is_due or renamed or any(has_news):
                swapped = self._rebuild(renamed)
                self._is_built = True
            if is_due:
                self._retried_s = now_s
        self._ticked_s = time.monotonic()  # a report that waits for the store delays no change
        if swapped or now_s - self._reported_s >= _REPORT_EVERY_S:
            self._send_report(now_s)

    def report(self) -> Report:
        """Return this replica's report of now."""
        trouble = self._outage.trouble or self._versions.reader.registry_trouble
        return with_waits(make_report(self._identity, self._holder.current, trouble), self._waits())

    def _await_change_and_tick(self, timeout_s: float) -> None:
        is_waiting = self._holder.current.problems and time.monotonic() - self._changed_s < _BRIEFLY_S
        told = self._store.await_change(_SOON_S if is_waiting else timeout_s)
        self.tick(time.monotonic(), told=told)

    def _look(self, now_s: float, *, told: bool) -> bool:
        """Read the store. Return True if something is new; False also while the store does not answer."""
        before = self._desired.marks
        try:
            is_new = self._desired.look()
            if self._take_keys is not None:
                keys = self._desired.look_for_keys()
                if keys is not None:
                    self._take_keys(keys)
            self.store_contact_s = time.monotonic()
        except (StoreUnavailable, RouterError) as error:
            self._outage.note(str(error))
            self._cadence.failed()
            return False
        after = self._desired.marks
        # What bandits learn is not told of: that would wake every replica for each of them.
        self._cadence.asked(now_s, told=told, found=(before.revision, before.keys) != (after.revision, after.keys))
        self._outage.note(self._desired.trouble)
        return is_new

    def _send_report(self, now_s: float) -> None:
        try:
            self._store.report(self.report())
            self._reported_s = now_s
        except StoreUnavailable as error:
            self._outage.note(str(error))

    def _rebuild(self, renamed: frozenset[ArmRef]) -> bool:
        """Build the routes that have changed, are not settled, or have references that name something else now.

        Return True if a new table is live.
        """
        before = self._holder.current
        built: dict[str, Built] = {}
        problems, warnings = dict(self._desired.corrupt), dict[str, str]()
        documents = self._desired.documents  # of a route that cannot be read, the last document that could
        for name, document in documents.items():
            known = self._built.get(name)
            is_settled = name not in before.problems and name not in before.warnings
            is_same = known is not None and known[0].is_of(document) and is_settled
            if known is not None and is_same and renamed.isdisjoint(known[1].refs.values()):
                built[name] = known
                continue
            route = self._build(document, known, problems, warnings)
            if route is not None:
                built[name] = route
        swapped = self._swap(built, problems, warnings)
        try:
            self._builder.forget_unused(documents, built, problems, warnings, time.monotonic())
        except Exception:  # noqa: BLE001  # tidying up must not keep a change from being live
            _log.exception("gateway.refresh.untidy")
        return swapped

    def _build(
        self, document: Document, known: Built | None, problems: dict[str, str], warnings: dict[str, str]
    ) -> Built | None:
        """Build a route. If that fails, return what can be served of it, if anything, and say why."""
        name = document.spec.route
        try:
            return self._builder.build(document, known, warnings)
        except (ModelFailed, ModelRefused, RegistryError, RouterError) as error:
            reason, is_loading, is_gone = str(error), isinstance(error, StillLoading), isinstance(error, RegistryError)
        except Exception as error:  # noqa: BLE001  # any fault that foreign bytes cause concerns this route alone
            reason, is_loading, is_gone = f"It cannot be built: {error!r}.", False, False
            _log.exception("gateway.route.failed", route=name)
        held = None if known is None else self._builder.rebuild_from_held(document, known, warnings)
        if (is_loading or is_gone) and held is not None and held[0].document_version == document.version:
            warnings[name] = f"Served with {'the version before' if is_loading else 'what is loaded'}: {reason}"
        else:
            problems[name] = reason
        return held

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
        log_swap(before, after)
        return True
