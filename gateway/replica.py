"""One replica: puts everything together, starts it and ends it in order. The only place that knows all parts."""

import asyncio
import contextlib
import gc
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import structlog

from control.open import open_store
from gateway.app import create_app
from gateway.door import Door, Response
from gateway.errors import ERROR_HEADER
from gateway.executor import Executor
from gateway.fence import Fence
from gateway.listener import Listener, bind
from gateway.live import LiveHolder, LiveRoute
from gateway.metrics import Metrics
from gateway.predict import Predictor
from gateway.refresh import Identity, Refresher
from gateway.secret import load_secret
from gateway.settings import Settings
from gateway.watchdog import Watchdog
from inference_log.roll import Roller
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import held_seats, take_seat
from inference_log.writer import LogWriter
from registry_sync.catalogue import Catalogue
from registry_sync.registries.directory import DirectoryRegistry
from runtimes.datatypes import NAME_OF
from runtimes.load import LoadOptions
from runtimes.runtime import example_inputs

_log = structlog.get_logger()

_SETTLE_S = 10.0
_FENCE_EVERY_S = 1.0
_PROBE_S = 1.0
_SWITCH_INTERVAL_S = 0.001
_GC_THRESHOLD = 20_000  # objects; a request leaves no cycles behind


class Unhealthy(Exception):
    """The replica's own request did not come back as it should."""


class Replica:
    """Built and started on the event loop that serves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seat = take_seat(settings.spool)
        name = f"{socket.gethostname()}-{self._seat.number}"
        self._writer = LogWriter(self._seat.folder, f"{name}-{time.time_ns() // 1_000_000}")
        self._metrics = Metrics(settings.metrics_dir, self._seat.number)
        self._holder = LiveHolder()
        self._store = open_store(settings.store)
        catalogue = Catalogue(
            DirectoryRegistry(Path(settings.registry)),
            LoadOptions(allow_pickle=settings.allow_pickle, intra_op_threads=settings.onnx_threads),
        )
        identity = Identity(name, os.getpid(), time.time())
        self._refresher = Refresher(identity, self._store, catalogue, self._holder, settings.registry_every_s)
        self._roller = Roller(settings.spool, self._seat.folder, self._writer, DirectorySink(Path(settings.log)))
        self._executor = Executor(settings.model_threads, settings.inline_below_ms / 1000)
        self._door = Door(
            self._holder,
            Predictor(self._executor, self._writer, self._metrics),
            self._metrics,
            create_app(self._holder, self._store, catalogue, self._render_metrics),
            secret=load_secret(settings.home),
            max_in_flight=settings.max_in_flight,
            max_body_bytes=settings.max_body_bytes,
        )
        self._listener = Listener(self._door)
        self._dead = threading.Event()
        threading.Thread(target=self._show_life, name="life", daemon=True).start()
        self._fence = Fence(settings.spool, self._seat.number, settings.wedged_after_s)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._watchdog: Watchdog | None = None
        self._counted = {"appended": 0, "dropped": 0, "persisted": 0, "failed": 0}

    async def start(self) -> None:
        """Loads every version that has weight, then listens.

        Raises:
            StoreUnavailable: the store could not be read even once; there is nothing to serve from.
            OSError: the port is held by somebody else.
        """
        settings = self._settings
        await asyncio.to_thread(self._refresher.settle, _SETTLE_S)
        await self._listener.start(bind(settings.host, settings.port))
        self._watchdog = Watchdog(asyncio.get_running_loop(), settings.wedged_after_s)
        self._watchdog.start()
        _settle_interpreter()
        self._spawn("refresh", self._refresher.run, settings.refresh_every_ms / 1000, self._publish_metrics)
        self._spawn("fence", self._watch_neighbours)
        self._spawn("roll", self._roller.run, settings.segment_max_age_s, settings.segment_max_bytes)

    async def stop(self) -> None:
        """Answers what is in hand, then leaves every segment as Parquet."""
        await self._listener.drain(self._settings.drain_s)
        if self._watchdog is not None:
            self._watchdog.stop()
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._executor.close()
        self._store.close()
        self._dead.set()
        self._seat.release()

    async def check(self) -> None:
        """Sends each route a request of its own, through everything that a caller's goes through but the socket.

        A model that fails is not this replica's fault: another replica would run the same model.

        Raises:
            Unhealthy: the listener is gone, or the gateway itself fails.
        """
        if not self._listener.is_listening():
            raise Unhealthy("The listener does not accept connections.")
        # A slow model, or a queue before it, is not this replica's fault either; a loop that hangs is the watchdog's.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_S):
                for live in self._holder.current.routes.values():
                    _require_answer(live.route.name, await _probe(self._door, live))

    def in_flight(self) -> int:
        """Requests in hand."""
        return self._listener.outstanding()

    def _spawn(self, name: str, run: Any, *arguments: Any) -> None:
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

    def _publish_metrics(self) -> None:
        """What is not worth writing down request by request."""
        self._metrics.flush()
        self._metrics.in_flight.set(self.in_flight())
        self._metrics.snapshot_revision.set(self._holder.current.revision)
        self._metrics.snapshot_stale.set(time.monotonic() - self._refresher.heard_s)
        now = {
            "appended": self._writer.appended,
            "dropped": self._writer.dropped,
            "persisted": self._roller.rows_persisted,
            "failed": self._roller.failures,
        }
        for outcome, value in now.items():
            self._metrics.log_rows.labels(outcome).inc(value - self._counted[outcome])
        self._counted = now

    def _render_metrics(self) -> bytes:
        return self._metrics.render(held_seats(self._settings.spool))


def _settle_interpreter() -> None:
    """What is loaded by now stays for good: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 50)
    # A thread that turns segments into Parquet would otherwise keep the lock for 5 ms at a time.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)


def _require_answer(route: str, response: Response) -> None:
    if response.status >= 500 and ERROR_HEADER.encode() not in dict(response.headers):
        raise Unhealthy(f"Route {route} answers {response.status} to the replica's own request.")


async def _probe(door: Door, live: LiveRoute) -> Response:
    """What the door answers to a request of zeros."""
    inputs = [
        {"name": name, "shape": array.shape, "datatype": NAME_OF[array.dtype], "data": array.ravel().tolist()}
        for name, array in example_inputs(live.signature).items()
    ]
    path = f"/v2/models/{live.route.name}/infer"
    body = orjson.dumps({"inputs": inputs})
    return await door.answer("POST", path, {}, body, time.perf_counter(), probe=True)
