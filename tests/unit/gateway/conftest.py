"""A registry of two tiny ONNX models, and one real replica on a real socket that the whole session shares."""

import asyncio
import gc
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import prometheus_client.values
import pytest
import structlog
import uvloop
from onnx import TensorProto, helper, numpy_helper

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.in_replica import ReplicaExecutor
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.latency import LatencyModel
from gateway.inference.live_table import LiveTable, Served, join
from gateway.replica.replica import Replica
from gateway.settings import Settings
from inference_log.query import run_query
from registry_sync.catalogue import Version, VersionKey, VersionState
from router.document.commands import Declare, apply
from router.snapshot import Pin, compile_route
from router.spec.parse import parse_spec
from runtimes.manifest import Manifest, Signature, TensorSpec, manifest_to_yaml
from runtimes.runtime import Runtime
from store.interface import Change, Entry, Store
from store.open import open_store

WEIGHTS = {"1": np.arange(8, dtype="f4").reshape(4, 2) / 8, "2": -np.arange(8, dtype="f4").reshape(4, 2) / 8}
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


@pytest.fixture(scope="session", autouse=True)
def process_as_it_was() -> Iterator[None]:
    """A replica is alone in its process and changes it: the metrics' folder, the garbage collector."""
    folder, value_class = os.environ.get("PROMETHEUS_MULTIPROC_DIR"), prometheus_client.values.ValueClass
    threshold = gc.get_threshold()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # its threads would log between a test's lines
    yield
    structlog.reset_defaults()
    gc.unfreeze()
    gc.set_threshold(*threshold)
    prometheus_client.values.ValueClass = value_class
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if folder is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


@pytest.fixture(autouse=True)
def metrics_as_they_were() -> Iterator[None]:
    """A test that makes metrics of its own does not take over those of the shared replica."""
    folder, value_class = os.environ.get("PROMETHEUS_MULTIPROC_DIR"), prometheus_client.values.ValueClass
    yield
    prometheus_client.values.ValueClass = value_class
    if folder is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def publish(root: Path, model: str, version: str, weights: np.ndarray[Any, Any]) -> Path:
    """Writes `scores = X @ weights` and `label = argmax(scores)` as a version of a directory registry."""
    columns = weights.shape[0]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["X", "W"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        "linear",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, columns])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2]),
        ],
        [numpy_helper.from_array(weights, "W")],
    )
    opset = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    folder = root / model / version
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    manifest = Manifest(
        runtime="onnx",
        file="model.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=(TensorSpec("X", "FP32", (-1, columns)),),
        outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2))),
    )
    (folder / "model.yaml").write_text(manifest_to_yaml(manifest))
    return folder


def fill(root: Path) -> Path:
    for version, weights in WEIGHTS.items():
        publish(root, "linear", version, weights)
    (root / "linear" / "aliases.yaml").write_text("champion: '1'\nchallenger: '2'\n")
    publish(root, "wide", "1", np.ones((5, 2), "f4"))
    damaged = publish(root, "damaged", "1", WEIGHTS["1"])
    (damaged / "model.onnx").write_bytes(b"not what the manifest pins")
    return root


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models linear (versions 1 and 2, aliases), wide (another signature) and damaged (cannot be loaded)."""
    assert onnx.__version__
    return fill(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def own_registry(tmp_path: Path) -> Path:
    """The same, to be changed."""
    return fill(tmp_path / "models")


def declare(store: Store, raw: Mapping[str, Any]) -> None:
    spec = parse_spec(dict(raw))
    entry = store.read(spec.route)
    document = apply(entry.document if entry else None, Declare(spec, time.time()))
    store.compare_and_set([Entry(document, Change(who="test", at_s=time.time(), what="apply"))])


@pytest.fixture(name="declare")
def declare_in() -> Callable[[Store, Mapping[str, Any]], None]:
    """Declares a route in a store, as an operator's command would."""
    return declare


@dataclass(frozen=True)
class Gateway:
    """A running replica."""

    home: Path
    port: int
    http: httpx.Client
    replica: Replica
    loop: asyncio.AbstractEventLoop

    def infer(self, path: str = "plain", *rows: list[float], headers: Mapping[str, str] | None = None, **more: Any):
        """Sends rows (default: one) to `/v2/models/{path}/infer`."""
        data = [list(row) for row in rows] or [[1, 2, 3, 4]]
        tensor = {"name": "X", "datatype": "FP32", "shape": [len(data), 4], "data": data}
        return self.http.post(f"/v2/models/{path}/infer", json={"inputs": [tensor], **more}, headers=headers)

    def rows(self, answer: httpx.Response, columns: str = "*") -> list[dict[str, Any]]:
        """What the log says of the request that got this answer."""
        return self.found(f"decision_id = '{answer.headers['x-decision-id']}'", columns)

    def found(self, where: str, columns: str = "*") -> list[dict[str, Any]]:
        """What the log says of the requests of which that is true."""
        sql = f"SELECT {columns} FROM inferences WHERE {where} ORDER BY inference_id"
        names, found = run_query(self.home / "log", self.home / "spool", sql)
        return [dict(zip(names, row, strict=True)) for row in found]

    def wait_until(self, true: Callable[[], Any]) -> None:
        wait_until(true)


def wait_until(true: Callable[[], Any], within_s: float = 5.0) -> None:
    until_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until_s, "it did not become true in time"
        time.sleep(0.01)


@pytest.fixture(name="wait_until")
def wait() -> Callable[..., None]:
    """Polls with a deadline."""
    return wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Running:
    """A replica on an event loop of its own, in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gateway under test")
        self._thread.start()
        assert self._started.wait(20)
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
        # A connection that a failing test left hanging need not hold the others up.
        for connection in list(self.replica._http._server.server_state.connections):
            connection.transport.abort()
        await self.replica.stop()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)


@pytest.fixture
def settings_of(registry: Path) -> Callable[..., Settings]:
    return lambda home, **more: settings(registry, home, **more)


def settings(registry: Path, home: Path, **more: Any) -> Settings:
    given = {
        "max_body_bytes": MAX_BODY_BYTES, "drain_s": 0.2, "refresh_every_ms": 20, "registry_every_s": 0.1,
        "grpc_port": 0,
    }  # fmt: skip
    return Settings(home=home, registry=str(registry), port=free_port(), **{**given, **more}).resolved()


def serve(chosen: Settings) -> Iterator[Gateway]:
    store = open_store(chosen.store)
    for route in ROUTES:
        if store.read(route["route"]) is None:
            declare(store, route)
    store.close()
    running = Running(chosen)
    url = f"http://127.0.0.1:{chosen.port}"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=5) as http:
            yield Gateway(chosen.home, chosen.port, http, running.replica, running.loop)
    finally:
        running.stop()


@pytest.fixture(scope="session")
def gateway(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A replica as the uvicorn engine runs it, with the routes plain, half and byparameter."""
    yield from serve(settings(registry, tmp_path_factory.mktemp("home")))


@pytest.fixture
def serving() -> Callable[[Settings], Iterator[Gateway]]:
    """Starts a replica with other settings; use with `contextlib.contextmanager`."""
    return serve


SIGNATURE = Signature(
    inputs=(TensorSpec("X", "FP32", (-1, 2)),),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 1))),
)


@pytest.fixture
def signature() -> Signature:
    """What `join_live` expects its runtimes to have."""
    return SIGNATURE


@pytest.fixture
def join_live() -> Callable[..., LiveTable]:
    """A live table with one route of runtimes by arm name; the first arm has all the weight.

    Every arm takes `mean_s`, as far as has been measured. Its lanes belong to the first event loop that uses them.
    `beside` are the runtimes of shadows that are no arms, by reference, such as `m:9`.
    """

    def make(
        runtimes: Mapping[str, Runtime],
        mean_s: float = 0.0,
        *,
        inline_below_s: float = 0.01,
        threads: int = 2,
        is_batching: bool = False,
        beside: Mapping[str, Runtime] | None = None,
        **spec: Any,
    ) -> LiveTable:
        names = list(runtimes)
        split = {name: "100%" if index == 0 else "0%" for index, name in enumerate(names)}
        raw = {"route": "r", "arms": {n: f"m:{i}" for i, n in enumerate(names)}, "split": split, **spec}
        document = apply(None, Declare(parse_spec(raw)))
        manifest = Manifest(
            runtime="onnx", file="f", sha256="0" * 64, inputs=SIGNATURE.inputs, outputs=SIGNATURE.outputs
        )
        turn = EndOfTurn()

        def served(number: str, runtime: Runtime, is_shadow: bool) -> tuple[Version, Lane]:
            key = VersionKey("m", number, "0" * 64)
            executor = ReplicaExecutor(
                runtime, LatencyModel(mean_s), threads=threads, inline_below_s=inline_below_s, max_rows=64
            )
            lane = Lane(
                LaneKey(key, "replica", is_shadow), executor, turn, is_batching=is_batching, has_one_shape_key=True
            )
            return Version(key, manifest, VersionState.READY, runtime=runtime), lane

        arms = {name: served(str(number), runtimes[name], False) for number, name in enumerate(names)}
        shadows = {name: served(name.partition(":")[2], runtime, True) for name, runtime in (beside or {}).items()}
        pins = {name: Pin(version.key.version, "0" * 64) for name, (version, _) in (arms | shadows).items()}
        route = compile_route(document, pins)
        return join({"r": (route, Served(arms, shadows, None))}, 1, {}, {})

    return make
