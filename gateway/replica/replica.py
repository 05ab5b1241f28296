"""One replica: has its parts built (`gateway.replica.build`), starts them, and stops them in order."""

import asyncio
import contextlib
import gc
import math
import sys
import time

from gateway.access.private_home import keep_files_private
from gateway.companion.heartbeat import Heartbeat
from gateway.companion.keeper import CompanionKeeper
from gateway.companion.threads import ThreadGroup
from gateway.eventloop.freed_memory import return_large_blocks
from gateway.execution.dedicated import Dedicated
from gateway.execution.wedged_versions import FOLDER, WedgedVersions
from gateway.http.server import HttpServer
from gateway.inference.strict.second_place import SecondPlace
from gateway.inference.token_key_file import open_token_keys
from gateway.replica.background import do_upkeep, keep_signing_keys
from gateway.replica.build import (
    build_control,
    build_execution,
    build_inference,
    open_shared,
)
from gateway.replica.build_grpc import build_grpc
from gateway.replica.build_http import build_endpoint
from gateway.replica.leaving import Leaving
from gateway.replica.neighbours import Neighbours, lacks
from gateway.replica.ports import bind_port
from gateway.replica.probe import Unhealthy, probe
from gateway.replica.publish import Publisher
from gateway.replica.watchdog import Watchdog
from gateway.settings import Settings
from inference_log.disk_bound import DiskUseReader

_SETTLE_S = 10.0
_SETTLE_EVERY_S = 0.05
_NEIGHBOURS_EVERY_S = 1.0
_STOP_S = 5.0
_SWITCH_INTERVAL_S = 0.001
_GC_THRESHOLD = 20_000  # objects; a request leaves no cycles behind


class Replica:
    """Built and started on the event loop that serves.

    Raises:
        ValueError: the settings do not define which callers are allowed, or name files that cannot be used.
    """

    def __init__(self, settings: Settings, dedicated: Dedicated | None = None) -> None:
        keep_files_private()
        shared = open_shared(settings)
        execution = build_execution(shared, dedicated)
        self._token_keys = open_token_keys(settings)
        inference = build_inference(shared, lambda: self._publisher.count_lanes(), self._token_keys)
        control = build_control(shared, execution, inference.holder)
        self._publisher = Publisher(
            metrics=shared.metrics,
            lanes=execution.lanes,
            view=control.view,
            writer=shared.writer,
            shadows=inference.shadows,
            in_flight=self.in_flight,
        )
        self._endpoint = build_endpoint(shared, execution, inference, control, self._publisher.publish_for_scrape)
        self._http = HttpServer(self._endpoint, shared.tls.for_uvicorn() if shared.tls is not None else None)
        self._grpc = build_grpc(shared, inference)
        self._settings, self._jwks, self._tracing = settings, shared.jwks, shared.tracing
        self._seat, self._store, self._writer = shared.seat, shared.store, shared.writer
        self._rewards, self._place = shared.rewards, inference.place
        self._catalogue, self._reader, self._lanes = execution.catalogue, execution.reader, execution.lanes
        self._control = control
        leaving = Leaving(settings.home)
        inference.metadata.stall = lambda: leaving.why() or control.reconciler.stall()
        self._has_started = False
        self._endpoint.unready = lambda: "leaving" if leaving.is_set() else "" if self._has_started else "starting"
        self._holder, self._shadows = inference.holder, inference.shadows
        self._keeper = CompanionKeeper(settings, is_first=shared.seat.number == 0)
        self._neighbours = Neighbours(shared.store, shared.identity.name, settings.host, settings.port)
        self._watchdog: Watchdog | None = None
        self._threads = ThreadGroup()
        self._heartbeat = Heartbeat(shared.seat)

    async def start(self) -> None:
        """Read the store, listen, and wait a little until every route is served.

        A route is served as soon as its versions are loaded. Beside replicas that listen already, listen when this one
        serves what they serve.

        Raises:
            StoreUnavailable: the store could not be read even once; there is nothing to serve from.
            OSError: another process holds a port.
        """
        settings, control = self._settings, self._control
        if self._jwks is not None:
            await asyncio.to_thread(self._jwks.tick, time.monotonic())
            self._threads.start("jwks", keep_signing_keys, self._jwks)
        with contextlib.suppress(OSError):  # it is tried again every second
            await asyncio.to_thread(self._keeper.look)  # before there are requests that starting a process would delay
        await asyncio.to_thread(control.reconciler.begin, _SETTLE_S)
        if self._place is not None:
            await self._wait_for_place(self._place)
        self._threads.start("reconciler", control.reconciler.run, settings.refresh_every_ms / 1000)
        self._threads.start("registry", self._reader.run, settings.registry_every_s)
        await self._wait_for_neighbours()
        await self._listen()
        self._threads.start(
            "upkeep",
            do_upkeep,
            self._keeper,
            self._publisher,
            self._writer,
            DiskUseReader(settings.spool, settings.log_max_disk_bytes),
            self._token_keys,
            self._look_at_place,
            settings.segment_max_age_s,
            settings.segment_max_bytes,
        )
        until_s = time.monotonic() + _SETTLE_S
        while self._holder.current.problems and time.monotonic() < until_s:
            await asyncio.sleep(_SETTLE_EVERY_S)
        _settle_interpreter()
        self._has_started = True

    async def _wait_for_place(self, place: SecondPlace) -> None:
        """Have the second place of rows ready before strict routes are served, for a while."""
        place.begin(asyncio.get_running_loop())
        until_s = time.monotonic() + _SETTLE_S
        while self._is_place_needed() and not place.is_ready and time.monotonic() < until_s:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._look_at_place)
            await asyncio.sleep(_SETTLE_EVERY_S)

    def _is_place_needed(self) -> bool:
        return any(live.is_strict for live in self._holder.current.routes.values())

    def _look_at_place(self) -> None:
        """Have the process run that puts rows in the second place, if a route is strict."""
        if self._place is not None:
            self._place.look(is_needed=self._is_place_needed())

    async def _wait_for_neighbours(self) -> None:
        """Wait until every route is served that neighbours serve, as long as a version may take to load."""
        served: frozenset[str] | None = None
        began_s = now_s = time.monotonic()
        asked_s = -math.inf
        while now_s - began_s < (_SETTLE_S if served is None else self._settings.load_within_s):
            if now_s - asked_s >= _NEIGHBOURS_EVERY_S:
                served, asked_s = await asyncio.to_thread(self._neighbours.served), now_s
            # On Ray a replica rarely is alone, and what tells of the others may be late: its own routes count, too.
            may_wait = self._settings.engine != "uvicorn" and now_s - began_s < _SETTLE_S
            if not lacks(self._holder.current, served) and not (may_wait and self._holder.current.problems):
                return
            await asyncio.sleep(_SETTLE_EVERY_S)
            now_s = time.monotonic()

    async def _listen(self) -> None:
        """Accept connections on both ports."""
        settings = self._settings
        await self._http.start(bind_port(settings.host, settings.port))
        if self._grpc is not None:
            await self._grpc.start(bind_port(settings.host, settings.grpc_port))
        self._watchdog = Watchdog(
            asyncio.get_running_loop(), settings.wedged_after_s, blame=WedgedVersions(settings.home / FOLDER).add
        )
        self._watchdog.start()

    async def stop(self) -> None:
        """Answer the requests in hand. If this is the last replica, wait until the companion has written the log."""
        self._catalogue.close()  # a command that waits for a version is answered at once
        drains = [self._http.drain(self._settings.drain_s)]
        if self._grpc is not None:
            drains.append(self._grpc.drain(self._settings.drain_s))
        await asyncio.gather(*drains)
        if self._watchdog is not None:
            self._watchdog.stop()
        self._shadows.close()
        self._rewards.close()
        await asyncio.to_thread(self._threads.stop, _STOP_S)
        if self._place is not None:
            self._place.close()
        await asyncio.to_thread(self._lanes.close)
        with contextlib.suppress(OSError):  # the companion reads the segment all the same
            self._writer.close()
            self._publisher.publish()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        self._store.close()
        await asyncio.to_thread(self._heartbeat.stop)
        self._seat.release()
        await asyncio.to_thread(self._keeper.finish)

    async def check(self) -> None:
        """Return if this replica serves.

        Raises:
            Unhealthy: a listener is gone, or the gateway itself fails.
        """
        if not self._http.is_listening() or (self._grpc is not None and not self._grpc.is_listening()):
            raise Unhealthy("A listener does not accept connections.")
        await probe(self._endpoint, self._holder)

    def in_flight(self) -> int:
        """Return how many requests are in hand."""
        return self._http.outstanding()


def _settle_interpreter() -> None:
    """Keep the garbage collector away from the objects that exist by now: they stay until the process ends."""
    return_large_blocks()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 50)
    # By default a background thread would keep the interpreter's lock for 5 ms at a time.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
