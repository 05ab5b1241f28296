"""One replica: has its parts built (`gateway.replica.build`), starts them, and stops them in order."""

import asyncio
import gc
import sys
import time

from gateway.access.private_home import keep_files_private
from gateway.eventloop.freed_memory import return_large_blocks
from gateway.execution.dedicated import Dedicated
from gateway.http.server import HttpServer
from gateway.replica.background import (
    ThreadGroup,
    do_shared_work,
    keep_signing_keys,
    ship_segments,
    show_heartbeat,
    watch_neighbours,
)
from gateway.replica.build import (
    build_control,
    build_endpoint,
    build_execution,
    build_inference,
    build_shipper,
    open_shared,
)
from gateway.replica.build_grpc import build_grpc
from gateway.replica.fence import Fence
from gateway.replica.ports import bind_port
from gateway.replica.probe import Unhealthy, probe
from gateway.replica.publish import Publisher
from gateway.replica.watchdog import Watchdog
from gateway.settings import Settings

_SETTLE_S = 10.0
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
        inference = build_inference(shared)
        control = build_control(shared, execution, inference.holder)
        self._endpoint = build_endpoint(shared, execution, inference, control)
        self._http = HttpServer(self._endpoint, shared.tls.for_uvicorn() if shared.tls is not None else None)
        self._grpc = build_grpc(shared, inference, control.view)
        self._shipper = build_shipper(shared, control.counter)
        self._publisher = Publisher(
            metrics=shared.metrics,
            lanes=execution.lanes,
            view=control.view,
            writer=shared.writer,
            shipper=self._shipper,
            counter=control.counter,
            rollouts=control.rollouts,
            shadows=inference.shadows,
            in_flight=self.in_flight,
        )
        self._settings, self._jwks, self._tracing = settings, shared.jwks, shared.tracing
        self._seat, self._store = shared.seat, shared.store
        self._lanes, self._control = execution.lanes, control
        self._holder, self._shadows = inference.holder, inference.shadows
        self._fence = Fence(settings.spool, shared.seat.number, settings.wedged_after_s)
        self._watchdog: Watchdog | None = None
        self._threads = ThreadGroup()
        self._shipping = ThreadGroup()  # stopped when nothing is appended to the log any more
        self._heartbeat = ThreadGroup()
        self._heartbeat.start("heartbeat", show_heartbeat, shared.seat)

    async def start(self) -> None:
        """Load every version that has weight, then listen.

        Raises:
            StoreUnavailable: the store could not be read even once; there is nothing to serve from.
            OSError: another process holds a port.
        """
        settings, control = self._settings, self._control
        if self._jwks is not None:
            await asyncio.to_thread(self._jwks.tick, time.monotonic())
            self._threads.start("jwks", keep_signing_keys, self._jwks)
        await asyncio.to_thread(control.reconciler.settle, _SETTLE_S)
        await self._http.start(bind_port(settings.host, settings.port))
        if self._grpc is not None:
            await self._grpc.start(bind_port(settings.host, settings.grpc_port))
        self._watchdog = Watchdog(asyncio.get_running_loop(), settings.wedged_after_s)
        self._watchdog.start()
        _settle_interpreter()
        self._threads.start(
            "reconciler", control.reconciler.run, settings.refresh_every_ms / 1000, self._publisher.publish
        )
        self._threads.start("fence", watch_neighbours, self._fence)
        self._threads.start(
            "shared work",
            do_shared_work,
            settings.advance_every_ms / 1000,
            control.counter,
            control.rollouts,
            control.audit,
        )
        self._shipping.start(
            "ship", ship_segments, self._shipper, settings.segment_max_age_s, settings.segment_max_bytes
        )

    async def stop(self) -> None:
        """Answer the requests in hand, then turn every segment into Parquet."""
        drains = [self._http.drain(self._settings.drain_s)]
        if self._grpc is not None:
            drains.append(self._grpc.drain(self._settings.drain_s))
        await asyncio.gather(*drains)
        if self._watchdog is not None:
            self._watchdog.stop()
        self._shadows.close()
        await self._threads.stop()
        await asyncio.to_thread(self._lanes.close)
        await self._shipping.stop()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        self._store.close()
        await self._heartbeat.stop()
        self._seat.release()

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
    # By default a thread that turns segments into Parquet would keep the interpreter's lock for 5 ms at a time.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
