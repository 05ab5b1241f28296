"""Machines and replicas of the study that run for real: the classes of the gateway, without requests and models."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from gateway.control.cadence import Cadence
from gateway.control.changes import Changes
from gateway.control.desired_state import DesiredState
from gateway.control.follower import Follower
from gateway.control.pace import pause_s
from gateway.control.rollouts import RolloutDriver
from gateway.control.route_shares import RouteShares
from loadtests.studies.scale.site import SERVING, counted
from registry_sync.catalogue import Catalogue
from registry_sync.details_reader import DetailsReader
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries.directory import DirectoryRegistry
from router.document.document import Candidate, Document
from runtimes.load_options import LoadOptions
from store.errors import StoreUnavailable
from store.interface import Store
from store.report import Report

LOOK_EVERY_S = 0.5
TICK_EVERY_S = 0.2
REPORT_EVERY_S = 1.0


class Live(Protocol):
    """What runs in a thread until `stop` is set. `unavailable` counts the looks that the store did not answer."""

    stop: threading.Event
    unavailable: int

    def run(self) -> None:
        """Run until `stop` is set."""


def state_like(first: DesiredState, store: Store) -> DesiredState:
    """Return a state that knows what another one does. To read a thousand documents takes seconds."""
    state = DesiredState(store, None)
    state.known, state.marks, state.was_read = first.known, first.marks, True
    return state


class LiveMachine:
    """What the companion of a machine asks of the store: twice a second, in the order of `Stewardship`."""

    def __init__(self, name: str, store: Store, first: DesiredState, busy: list[str], registry: Path) -> None:
        self.trouble = ""
        self.stop = threading.Event()
        self.unavailable = 0
        self._name, self._store, self._busy = name, store, busy
        self._state = state_like(first, store)
        self._shares = RouteShares(store, name)
        catalogue = Catalogue(DirectoryRegistry(registry), LoadOptions())
        follower = Follower(ReferenceReader(catalogue), DetailsReader(catalogue.details), catalogue)
        changes = Changes(store, catalogue, f"{name}-companion", self)
        self._rollouts = RolloutDriver(store, follower, changes, self, self._shares)
        self._end, self._count_at_s = 0, 0.0
        self._running = threading.Lock()

    @property
    def documents(self) -> Mapping[str, Document]:
        """See `View.documents`."""
        return self._state.documents

    def candidates(self, route: str) -> Mapping[str, Candidate] | None:
        """See `View.candidates`."""
        return SERVING if route in self._state.known.entries else None

    def run(self) -> None:
        """Look until `stop` is set."""
        while not self.stop.wait(LOOK_EVERY_S):
            with self._running:
                try:
                    self.look()
                except StoreUnavailable:
                    self.unavailable += 1

    def suspend(self) -> None:
        """Keep it from looking, without a word to the others, as if it were dead."""
        self._running.acquire()

    def resume(self) -> None:
        """Let it look again."""
        self._running.release()

    def look(self) -> None:
        """Look once."""
        self._state.look()
        self._shares.refresh(is_able=True)
        if self._busy and time.monotonic() >= self._count_at_s:
            sums = counted(self._busy, 5)
            began_s = time.monotonic()
            self._end = self._store.count(f"segment of {self._name}", self._end, self._end + 1, sums)
            now_s = time.monotonic()
            self._count_at_s = now_s + pause_s(self._shares.machines, now_s - began_s)
        self._rollouts.tick(time.time())


class LiveReplica:
    """What a replica asks of the store. `seen` is called with each change: the route and its version."""

    def __init__(self, name: str, store: Store, first: DesiredState, seen: Callable[[str, int], None]) -> None:
        self.stop = threading.Event()
        self.unavailable = 0
        self._name, self._store, self._seen = name, store, seen
        self._state = state_like(first, store)
        self._cadence = Cadence(random.random)
        self._reported_s = 0.0

    def run(self) -> None:
        """Tick until `stop` is set."""
        while not self.stop.is_set():
            told = self._store.await_change(TICK_EVERY_S)
            try:
                self._tick(time.monotonic(), told=told)
            except StoreUnavailable:
                self.unavailable += 1
                self._cadence.failed()

    def _tick(self, now_s: float, *, told: bool) -> None:
        if self._cadence.is_due(now_s, told=told):
            before = self._state.known.entries
            is_new = self._state.look()
            self._cadence.asked(now_s, told=told, found=is_new)
            if is_new:
                for route, entry in self._state.known.entries.items():
                    if before.get(route) is not entry:
                        self._seen(route, entry.document.version)
        if now_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = now_s
            self._store.report(report_of(self._name, self._state.documents))


def report_of(name: str, documents: Mapping[str, Document]) -> Report:
    """Return a report of a replica that serves these documents."""
    return Report(name, 1, time.time(), 0.0, "0" * 16, {route: each.version for route, each in documents.items()})
