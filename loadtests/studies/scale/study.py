"""A server with the routes of the study, the load on it, and what is measured of it."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from redis import Redis

from gateway.control.changes import OURSELVES
from gateway.control.desired_state import DesiredState
from loadtests.studies.scale.costs import Cost, measure
from loadtests.studies.scale.live import Live, LiveMachine, LiveReplica, report_of
from loadtests.studies.scale.replay import Part, record
from loadtests.studies.scale.site import counted, declare, fill
from router.rendezvous import owner_of
from store.entry import Change, Entry
from store.errors import StoreUnavailable
from store.interface import Store
from store.open import open_store

T = TypeVar("T")

LIVE, LIVE_REPLICAS, CHANGES, ABORTS, DEATHS = 6, 8, 12, 8, 3
_VARIANTS, _REPORTS = 40, 20
SETTLE_S, _LIMIT_S, _BETWEEN_S = 5.0, 60.0, 0.37
_ALL_REPORTS = "return #redis.call('HGETALL', KEYS[1])"


class Study:
    """A server with routes, and the names of the machines. The first few run for real."""

    def __init__(self, folder: Path, port: int, sizes: tuple[int, int, int, int]) -> None:
        self.machine_count, self.replicas, route_count, self.busy = sizes
        self.folder, self.port = folder, port
        self.server = Redis(port=port, decode_responses=True)
        self.store = self.open()
        self.machines = [f"ip-10-0-{number // 250}-{number % 250}-1a2b3c4d" for number in range(self.machine_count)]
        live, names, all_ = self.machines[:LIVE], (f"probe-{number}" for number in count()), self.machines
        owned = (name for name in names if owner_of(name, all_) in live)
        self.watched = [next(owned) for _ in range(1 + ABORTS)]
        self.orphaned = [next(name for name in owned if _second(name, all_) in live) for _ in range(DEATHS)]
        self.probes = [*self.watched, *self.orphaned]
        self.routes = [*self.probes, *(f"route-{number:04}" for number in range(route_count - len(self.probes)))]
        declare(self.store, self.routes)
        fill(self.store, self.routes)
        for machine in self.machines:
            self.store.beat(machine)
        self.state = DesiredState(self.store, None)
        self.state.look()
        self.seen: list[tuple[str, int, float]] = []

    def open(self) -> Store:
        """Return a store of its own for one client."""
        return open_store(f"redis://127.0.0.1:{self.port}")

    def busy_of(self, machine: int) -> list[str]:
        """Return the routes that get requests on a machine. Probes get none."""
        idle = len(self.probes)
        others = self.routes[idle:]
        return [others[(machine * 37 + number) % len(others)] for number in range(min(self.busy, len(others)))]

    def costs(self) -> dict[str, Cost]:
        """Return the cost of each question."""
        store, server, ends = self.store, self.server, count()
        sums, route = counted(self.busy_of(0), 5), self.routes[-1]
        reports = [report_of(f"replica-{each}", self.state.documents) for each in range(50)]
        for report in reports:
            store.report(report)
        since_s = int(time.time()) - 60

        def add() -> None:
            end = next(ends)
            store.count("cost", end, end + 1, sums)

        def look() -> None:
            store.recent_sums(route, since_s)
            store.sums(route, 2)

        def report_all() -> None:
            for each in reports[:_REPORTS]:
                store.report(each)

        numbers = 0
        found = {
            "marks": measure(server, store.marks, 1000),
            "beat": measure(server, lambda: store.beat(self.machines[0]), 300),
            "count": measure(server, add, 50),
            "counted since": measure(server, lambda: store.counted_since(numbers, self.routes[:4]), 300),
            "look at a route": measure(server, look, 300),
            "report, the same": measure(server, lambda: store.report(reports[-1]), 300),
            "report, whole": measure(server, report_all, 3),
            "counted since, of all routes": measure(server, lambda: store.counted_since(numbers), 100),
            "change": measure(server, lambda: store.changes(self.state.marks.revision.number - 2, 2), 200),
        }
        found["report, whole"] = Cost(*(each / _REPORTS for each in found["report, whole"]))
        script = measure(server, lambda: server.eval(_ALL_REPORTS, 1, "{pointsman}:reports"), 20)
        part = self.machine_count * self.replicas / len(reports)
        found["all reports, in a script"] = Cost(script.cpu_us * part, script.in_bytes, script.out_bytes, 0.0)
        return found

    def parts(self, asked: dict[str, float], share: float) -> list[Part]:
        """Return what is sent for all machines but those that run for real: a share of what they ask."""
        store, since_s = self.store, int(time.time()) - 60
        report, number = report_of("replayed", self.state.documents), store.counted_since(0).number - 1
        store.report(report)
        others = range(LIVE, self.machine_count)
        messages = {
            "marks": [record(store.marks)],
            "beat": [record(lambda name=self.machines[each]: store.beat(name)) for each in others],  # type: ignore[misc]
            "counted since": [record(lambda: store.counted_since(number, self.routes[:4]))],
            "count": [
                record(lambda each=each: store.count(f"replayed {each}", 0, 0, counted(self.busy_of(each), 5)))  # type: ignore[misc]
                for each in others[:_VARIANTS]
            ],
            "look at a route": [
                record(lambda route=route: (store.recent_sums(route, since_s), store.sums(route, 2)))  # type: ignore[misc]
                for route in self.routes[len(self.probes) :]
            ],
            "report, the same": [record(lambda: store.report(report))],
        }
        # All machines must be heard, or the others take their routes over.
        return [Part(messages[name], rate * (1.0 if name == "beat" else share)) for name, rate in asked.items()]

    def run_live(self, stack: ExitStack) -> tuple[list[LiveMachine], list[LiveReplica]]:
        """Start machines and replicas that run for real."""
        machines = [
            LiveMachine(name, self.open(), self.state, self.busy_of(number), self.folder)
            for number, name in enumerate(self.machines[:LIVE])
        ]
        seen = self.seen
        replicas = [
            LiveReplica(f"live-{number}", self.open(), self.state, lambda *what: seen.append((*what, time.monotonic())))
            for number in range(LIVE_REPLICAS)
        ]
        everything: list[Live] = [*machines, *replicas]
        for each in everything:
            thread = threading.Thread(target=each.run, daemon=True)
            thread.start()
            stack.callback(thread.join, 10.0)
            stack.callback(each.stop.set)
        return machines, replicas

    def staleness_s(self) -> list[float]:
        """Change a route again and again, and return how long each live replica took to know of each change.

        All other replicas and machines read each change at once, too.
        """
        taken_s, number = [], self.state.marks.revision.number
        read = _patiently(lambda: record(lambda: self.store.changes(number - 2, 2)))
        others = socket.create_connection(("127.0.0.1", self.port))
        threading.Thread(target=_drop, args=(others,), daemon=True).start()
        for _ in range(CHANGES):
            entry = _patiently(lambda: self.store.read(self.probes[0]))
            assert entry is not None  # noqa: S101  # it was declared
            document = replace(entry.document, version=entry.document.version + 1)
            began_s = time.monotonic()
            changed = [Entry(document, Change("study", time.time(), "another version", id=f"{document.version}"))]
            _patiently(lambda changed=changed: self.store.compare_and_set(changed))  # type: ignore[misc]
            others.sendall(read * (self.machine_count * (1 + self.replicas) - LIVE - LIVE_REPLICAS))
            what = (self.probes[0], document.version)
            _until(lambda what=what: sum(each[:2] == what for each in self.seen) == LIVE_REPLICAS)  # type: ignore[misc]
            taken_s += [at_s - began_s for *about, at_s in self.seen if tuple(about) == what]
            time.sleep(_BETWEEN_S)
        others.close()
        return taken_s

    def abort_s(self, route: str) -> float:
        """Let a route have bad sums, and return how long it takes until its rollout is aborted."""
        _patiently(lambda: self.store.count("bad", 0, 0, counted([route], 400, errors=300)))
        began_s = time.monotonic()
        _until(lambda: self.store.history(route, 1)[0].change.who == OURSELVES)
        return time.monotonic() - began_s

    def abort_without_owner_s(self, route: str, live: list[LiveMachine]) -> float:
        """Let the owner of a route die, and then the route have bad sums. Return how long the abort takes from then."""
        owner = live[self.machines.index(str(owner_of(route, self.machines)))]
        owner.suspend()
        try:
            took_s = self.abort_s(route)
        finally:
            owner.resume()
        time.sleep(SETTLE_S)
        return took_s


def _second(route: str, machines: list[str]) -> str | None:
    """Return the machine that owns a route when its owner is gone."""
    first = owner_of(route, machines)
    return owner_of(route, [each for each in machines if each != first])


def _drop(connection: socket.socket) -> None:
    """Read replies until the connection ends, and drop them."""
    with suppress(OSError):
        while connection.recv(1 << 20):
            pass


def _answers(is_done: Callable[[], bool]) -> bool:
    with suppress(StoreUnavailable):
        return is_done()
    return False


def _patiently(do: Callable[[], T]) -> T:
    """Do something again until the store answers, as an operator would."""
    until_s = time.monotonic() + _LIMIT_S
    while True:
        try:
            return do()
        except StoreUnavailable:
            if time.monotonic() > until_s:
                raise


def _until(is_done: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _LIMIT_S
    while not _answers(is_done):
        if time.monotonic() > until_s:
            raise TimeoutError(f"It took longer than {_LIMIT_S:.0f} s.")
        time.sleep(0.005)
