"""A real replica on real sockets, on an event loop of its own in a thread of the tests' process."""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvloop

from gateway.replica.replica import Replica
from gateway.settings import Settings
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from store.open import open_store
from tests.support.polling import PATIENCE_S
from tests.support.ports import free_port
from tests.support.routes import declare

ROUTES: list[dict[str, Any]] = [
    {"route": "plain", "arms": {"a": "linear:1"}, "split": {"a": "100%"}},
    {
        "route": "half",
        "arms": {"a": "linear:1", "b": "linear@challenger"},
        "split": {"a": "50%", "b": "50%"},
        "unit": "header:x-user-id",
    },
    {
        "route": "byparameter",
        "arms": {"a": "linear:1", "b": "linear:2"},
        "split": {"a": "50%", "b": "50%"},
        "unit": "parameters.user",
    },
]
MAX_BODY_BYTES = 1_000_000
_PATIENCE_FOR_ROUTES_S = 30.0


@dataclass(frozen=True)
class Gateway:
    """A running replica."""

    home: Path
    port: int
    http: httpx.Client
    replica: Replica
    loop: asyncio.AbstractEventLoop

    def infer(self, path: str = "plain", *rows: list[float], headers: Mapping[str, str] | None = None, **more: Any):
        """Send rows (one unless given) to `/v2/models/{path}/infer`."""
        data = [list(row) for row in rows] or [[1, 2, 3, 4]]
        tensor = {"name": "X", "datatype": "FP32", "shape": [len(data), 4], "data": data}
        return self.http.post(f"/v2/models/{path}/infer", json={"inputs": [tensor], **more}, headers=headers)

    def rows(self, response: httpx.Response, columns: str = "*") -> list[dict[str, Any]]:
        """Return the rows of the log for the request that got this response."""
        return self.found(f"decision_id = '{response.headers['x-decision-id']}'", columns)

    def found(self, where: str, columns: str = "*") -> list[dict[str, Any]]:
        """Return the rows of the log for which an SQL condition is true."""
        sql = f"SELECT {columns} FROM inferences WHERE {where} ORDER BY inference_id"
        names, found = run_query(DirectoryFiles(self.home / "log"), self.home / "spool", sql)
        return [dict(zip(names, row, strict=True)) for row in found]

    def connections(self) -> set[Any]:
        """Return the open HTTP connections, as the server counts them when it drains."""
        return _connections(self.replica)


def _connections(replica: Replica) -> set[Any]:
    # The product has no public name for them: it needs none.
    connections: set[Any] = replica._http._server.server_state.connections
    return connections


class _Running:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gateway under test")
        self._thread.start()
        assert self._started.wait(PATIENCE_S), "The replica has not started."
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self.replica = Replica(self._settings)
        try:
            await self.replica.start()
        except BaseException as error:  # noqa: BLE001  # raised again where the fixture waits
            self._failed = error
            self._started.set()
            return
        self._started.set()
        await self._end.wait()
        # A request that a failing test left hanging would hold the end up for ten seconds.
        for connection in list(_connections(self.replica)):
            connection.transport.abort()
        await self.replica.stop()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "The replica has not ended."


def settings_of(registry: Path, home: Path, **more: Any) -> Settings:
    """Return settings under which a replica notices every change soon."""
    given = {
        "max_body_bytes": MAX_BODY_BYTES, "drain_s": 0.2, "refresh_every_ms": 20, "registry_every_s": 0.1,
        "grpc_port": 0, "wedged_after_s": PATIENCE_S,  # its watchdog would end the process of the tests
    }  # fmt: skip
    return Settings(home=home, registry=str(registry), port=free_port(), **{**given, **more}).resolved()


def _wait_for_routes(replica: Replica) -> None:
    """Wait until the routes are served. A busy machine needs longer to try their versions than a replica waits."""
    until_s = time.monotonic() + _PATIENCE_FOR_ROUTES_S
    while {each["route"] for each in ROUTES} & replica._holder.current.problems.keys():
        if time.monotonic() > until_s:
            return
        time.sleep(0.05)


@contextmanager
def serving(settings: Settings) -> Iterator[Gateway]:
    """Start a replica with the routes plain, half and byparameter; end it after the block."""
    store = open_store(settings.store)
    for route in ROUTES:
        if store.read(route["route"]) is None:
            declare(store, route)
    store.close()
    url = f"http://127.0.0.1:{settings.port}"
    running = _Running(settings)
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as http:
            _wait_for_routes(running.replica)
            yield Gateway(settings.home, settings.port, http, running.replica, running.loop)
    finally:
        running.stop()
