"""One replica: puts everything together, starts it and ends it in order. The only place that knows all parts."""

import asyncio
import contextlib
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from gateway.access.middleware import AccessMiddleware
from gateway.access.open import open_access
from gateway.access.tls import load_tls
from gateway.api.app import create_app
from gateway.api.operators.router import operate_router
from gateway.control.audit import AuditTrail
from gateway.control.changes import Changes
from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile
from gateway.control.log_counter import LogCounter
from gateway.control.periodic import PeriodicWork
from gateway.control.reconciler import Identity, Reconciler
from gateway.control.rollouts import RolloutDriver
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane_pool import Dedicated, LaneOptions, LanePool
from gateway.execution.process.child import ProcessOptions
from gateway.grpc.inference import GrpcInference
from gateway.grpc.metadata import GrpcMetadata
from gateway.grpc.server import GrpcServer
from gateway.http.endpoint import InferenceEndpoint
from gateway.http.server import HttpServer, bind
from gateway.inference.live_table import LiveTableHolder
from gateway.inference.metadata import Metadata
from gateway.inference.predictor import Predictor
from gateway.inference.service import InferenceService
from gateway.inference.shadows import Shadows
from gateway.inference.unit_key import load_unit_key
from gateway.replica.fence import Fence
from gateway.replica.probe import Unhealthy, probe
from gateway.replica.publish import Publisher
from gateway.replica.watchdog import Watchdog
from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import open_tracing
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import held_seats, take_seat
from inference_log.writer import LogWriter
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from runtimes.load import LoadOptions
from store.open import open_store

_log = structlog.get_logger()

_SETTLE_S = 10.0
_FENCE_EVERY_S = 1.0
_SWITCH_INTERVAL_S = 0.001
_GC_THRESHOLD = 20_000  # objects; a request leaves no cycles behind


class Replica:
    """Built and started on the event loop that serves.

    Raises:
        ValueError: the settings leave open who may ask, or their files cannot be used; the sentence says which.
    """

    def __init__(self, settings: Settings, dedicated: Dedicated | None = None) -> None:
        self._settings = settings
        access, tls = open_access(settings), load_tls(settings)
        guard = access.guard if access is not None else None
        self._jwks = access.jwks if access is not None else None
        self._tracing = open_tracing(os.environ)
        self._seat = take_seat(settings.spool)
        name = f"{socket.gethostname()}-{self._seat.number}"
        writer = LogWriter(self._seat.folder, f"{name}-{time.time_ns() // 1_000_000}")
        metrics = Metrics(settings.metrics_dir, self._seat.number)
        self._holder = LiveTableHolder()
        self._store = open_store(settings.store)
        options = LoadOptions(allow_pickle=settings.allow_pickle, intra_op_threads=settings.onnx_threads)
        catalogue = Catalogue(DirectoryRegistry(Path(settings.registry)), options)
        turn = EndOfTurn()
        processes = ProcessOptions(settings.registry, options)
        self._lanes = LanePool(
            turn, LaneOptions(settings.model_threads, settings.inline_below_ms / 1000, processes), dedicated
        )
        wanted = DesiredState(self._store, LastKnownFile(settings.last_known_file, settings.store))
        if guard is not None:
            guard.replace_keys(wanted.known.keys)  # until the store says which they are
        self._refresher = Reconciler(
            Identity(name, os.getpid(), time.time()),
            self._store,
            wanted,
            catalogue,
            self._lanes,
            self._holder,
            settings.registry_every_s,
            guard.replace_keys if guard is not None else None,
        )
        changes = Changes(self._store, catalogue, name, lambda: wanted.trouble, self._holder.candidates)
        counter = LogCounter(self._store, writer)
        self._steward = PeriodicWork(
            counter,
            RolloutDriver(self._store, changes, lambda: wanted.documents, self._holder.candidates),
            AuditTrail(self._store, writer, name),
            settings.advance_every_ms / 1000,
        )
        self._roller = Shipper(
            settings.spool,
            self._seat.folder,
            writer,
            DirectorySink(Path(settings.log)),
            may_delete=counter.finish,
            deleted=counter.deleted,
        )
        self._shadows = Shadows(writer, metrics)
        reception = InferenceService(
            self._holder,
            Predictor(writer, metrics, self._shadows),
            metrics,
            guard,
            self._tracing,
            secret=load_unit_key(settings.home),
            max_in_flight=settings.max_in_flight,
            max_instances=settings.max_instances,
        )
        describer = Metadata(self._holder, metrics.lane_sums)
        operate = operate_router(
            store=self._store,
            catalogue=catalogue,
            changes=changes,
            wanted=wanted,
            own_report=self._refresher.report,
            last_contact_s=lambda: self._refresher.heard_s,
        )
        app: Any = create_app(describer, operate, lambda: metrics.render(held_seats(settings.spool)))
        if guard is not None:
            app = AccessMiddleware(app, guard)
        self._door = InferenceEndpoint(reception, app, turn, max_body_bytes=settings.max_body_bytes)
        self._listener = HttpServer(self._door, tls.for_uvicorn() if tls is not None else None)
        self._grpc: GrpcServer | None = None
        if settings.grpc_port:
            description = GrpcMetadata(describer, lambda: not self._holder.current.problems, guard)
            self._grpc = GrpcServer(
                {**description.methods(), **GrpcInference(reception).methods()},
                lambda: not self._holder.current.problems,
                turn,
                max_message_bytes=settings.max_body_bytes,
                tls=tls.for_grpc() if tls is not None else None,
            )
        self._publisher = Publisher(
            metrics,
            self._lanes,
            self._holder,
            self._refresher,
            writer,
            self._roller,
            self._steward,
            self._shadows,
            self.in_flight,
        )
        self._dead = threading.Event()
        threading.Thread(target=self._show_life, name="life", daemon=True).start()
        self._fence = Fence(settings.spool, self._seat.number, settings.wedged_after_s)
        self._stop = threading.Event()
        self._last = threading.Event()  # set when nobody appends to the log any more
        self._threads: list[threading.Thread] = []
        self._shipping: threading.Thread | None = None
        self._watchdog: Watchdog | None = None

    async def start(self) -> None:
        """Loads every version that has weight, then listens.

        Raises:
            StoreUnavailable: the store could not be read even once; there is nothing to serve from.
            OSError: a port is held by somebody else.
        """
        settings = self._settings
        if self._jwks is not None:
            await asyncio.to_thread(self._jwks.tick, time.monotonic())
            self._spawn("jwks", self._jwks.run)
        await asyncio.to_thread(self._refresher.settle, _SETTLE_S)
        await self._listener.start(bind(settings.host, settings.port))
        if self._grpc is not None:
            await self._grpc.start(bind(settings.host, settings.grpc_port))
        self._watchdog = Watchdog(asyncio.get_running_loop(), settings.wedged_after_s)
        self._watchdog.start()
        _settle_interpreter()
        self._spawn("refresh", self._refresher.run, settings.refresh_every_ms / 1000, self._publisher.publish)
        self._spawn("fence", self._watch_neighbours)
        self._spawn("steward", self._steward.run)
        self._shipping = threading.Thread(
            target=self._roller.run,
            args=(self._last, settings.segment_max_age_s, settings.segment_max_bytes),
            name="roll",
            daemon=True,
        )
        self._shipping.start()

    async def stop(self) -> None:
        """Answers what is in hand, then leaves every segment as Parquet."""
        drains = [self._listener.drain(self._settings.drain_s)]
        if self._grpc is not None:
            drains.append(self._grpc.drain(self._settings.drain_s))
        await asyncio.gather(*drains)
        if self._watchdog is not None:
            self._watchdog.stop()
        self._shadows.close()
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        await asyncio.to_thread(self._lanes.close)
        self._last.set()
        if self._shipping is not None:
            await asyncio.to_thread(self._shipping.join)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        self._store.close()
        self._dead.set()
        self._seat.release()

    async def check(self) -> None:
        """Whether this replica serves.

        Raises:
            Unhealthy: a listener is gone, or the gateway itself fails.
        """
        if not self._listener.is_listening() or (self._grpc is not None and not self._grpc.is_listening()):
            raise Unhealthy("A listener does not accept connections.")
        await probe(self._door, self._holder)

    def in_flight(self) -> int:
        """Requests in hand."""
        return self._listener.outstanding()

    def _spawn(self, name: str, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=(self._stop, *arguments), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _show_life(self) -> None:
        """From when the seat is taken until just before it is given up: also while models load, and at the end."""
        while not self._dead.wait(_FENCE_EVERY_S):
            with contextlib.suppress(OSError):
                self._seat.show_life()

    def _watch_neighbours(self, stop: threading.Event) -> None:
        while not stop.wait(_FENCE_EVERY_S):
            try:
                self._fence.look(time.monotonic())
            except OSError as error:
                _log.warning("gateway.fence.failed", error=str(error))


def _settle_interpreter() -> None:
    """What is loaded by now stays for good: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 50)
    # A thread that turns segments into Parquet would otherwise keep the lock for 5 ms at a time.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
