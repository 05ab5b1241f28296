"""Models for child processes, and what a test needs to run them."""

import asyncio
import contextlib
import ctypes
import hashlib
import os
import pickle
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop
from onnx import TensorProto, helper

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.job import Job
from gateway.execution.lane import Lane
from gateway.execution.lane_pool import LaneOptions, LanePool
from gateway.execution.process.model import ProcessOptions
from registry_sync.catalogue import Version, VersionKey, VersionState
from runtimes.datatypes import NUMPY_OF
from runtimes.load import LoadOptions
from runtimes.manifest import Manifest, TensorSpec, manifest_to_yaml

SLEEP, CRASH, RAISE, HOLD, LEAVE, NICE, THREADS = -1, -2, -3, -4, -5, -6, -7


class Moody:
    """Returns the sum of each row, or does what the least of their first numbers (`SLEEP`, `CRASH`, ...) stands for."""

    def predict(self, features: Any) -> Any:
        """Predict as an estimator of scikit-learn does."""
        first = int(features[:, 0].min(initial=0))
        if first == SLEEP:
            time.sleep(60)
        if first == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        if first == RAISE:
            raise ValueError("in no mood")
        if first == HOLD:
            ctypes.PyDLL(None).sleep(60)  # which keeps the interpreter's lock
        if first == LEAVE:
            os._exit(3)
        if first == NICE:
            return np.full(len(features), float(os.nice(0)))
        if first == THREADS:
            return np.full(len(features), float(os.environ["OMP_NUM_THREADS"]))
        return features.sum(axis=1)


class Unloadable:
    """Crashes the process that runs it first, or sleeps there."""

    def __init__(self, *, sleeps: bool) -> None:
        self.sleeps = sleeps

    def predict(self, features: Any) -> Any:  # noqa: ARG002  # an estimator's
        """Crash or sleep."""
        if self.sleeps:
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGSEGV)


def publish_file(root: Path, file: str, content: bytes, **more: Any) -> Version:
    """Write a version to a directory registry. Return it as a replica has it that runs it in a process."""
    folder = root / "m" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    manifest = Manifest(
        runtime="onnx" if file.endswith(".onnx") else "sklearn", file=file, sha256=digest, placement="process", **more
    )
    (folder / file).write_bytes(content)
    (folder / "model.yaml").write_text(manifest_to_yaml(manifest))
    return Version(VersionKey("m", "1", digest), manifest, VersionState.READY)


def publish_estimator(root: Path, estimator: Any, **more: Any) -> Version:
    """Publish an estimator that takes two numbers and returns one."""
    signature = {"inputs": (TensorSpec("X", "FP64", (-1, 2)),), "outputs": (TensorSpec("y", "FP64", (-1,)),)}
    return publish_file(root, "model.pkl", pickle.dumps(estimator), **signature, **more)


def publish_echo(root: Path, *datatypes: str) -> Version:
    """Publish an ONNX model that returns its inputs, in any datatype."""
    kinds = {
        name: helper.np_dtype_to_tensor_dtype(dtype) for name, dtype in NUMPY_OF.items() if dtype.kind in "biuf"
    } | {
        "BYTES": TensorProto.STRING,
        "BF16": TensorProto.BFLOAT16,
    }
    given, taken = (
        [helper.make_tensor_value_info(side + name, kinds[name], [None, 2]) for name in datatypes] for side in "yx"
    )
    nodes = [helper.make_node("Identity", ["x" + name], ["y" + name]) for name in datatypes]
    graph = helper.make_graph(nodes, "echo", taken, given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    specs = [tuple(TensorSpec(side + name, name, (-1, 2)) for name in datatypes) for side in "xy"]
    return publish_file(root, "model.onnx", model.SerializeToString(), inputs=specs[0], outputs=specs[1])


def pool_of(root: Path, **options: Any) -> LanePool:
    """Return a lane pool that may start processes."""
    processes = ProcessOptions(str(root), LoadOptions(allow_pickle=True), **options)
    return LanePool(EndOfTurn(), LaneOptions(2, 0.002, processes), None)


async def predict(lane: Lane, *numbers: float, within_s: float | None = None) -> Any:
    """Submit one row and wait. Return the outputs or the error."""
    return await settled(submit(lane, *numbers, within_s=within_s))


def submit(lane: Lane, *numbers: float, within_s: float | None = None) -> Job:
    """Submit one row."""
    deadline_s = None if within_s is None else time.perf_counter() + within_s
    return lane.submit({"X": np.array([numbers or (1, 2)], np.float64)}, 1, deadline_s)


async def settled(job: Job) -> Any:
    """Wait for a job. Return its outputs or its error."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if not job.settled:
        job.call_when_settled(lambda: done.set_result(None))
        async with asyncio.timeout(30):
            await done
    try:
        return job.result()
    except Exception as error:  # noqa: BLE001  # the test looks at it
        return error


def child_of(lane: Lane) -> psutil.Process:
    """Return the process that a lane uses now."""
    return psutil.Process(lane.executor._supervisor.child.pid)  # type: ignore[attr-defined]  # it is a ProcessExecutor


async def until(is_true: Callable[[], Any], within_s: float = 30) -> None:
    """Wait until something has happened in another thread or process."""
    async with asyncio.timeout(within_s):
        while not is_true():
            await asyncio.sleep(0.005)


def running(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a test on the event loop that replicas use."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def descriptors() -> int:
    """Count the sockets and pipes that this process has open. Threads of other tests open and close files."""
    kinds = ("socket:", "pipe:")
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(path.readlink()).startswith(kinds)
    return found


def children() -> Sequence[psutil.Process]:
    """Return the processes that this one has started and that have not been reaped."""
    return [
        child
        for child in psutil.Process().children()
        if "gateway.execution.process.worker" in " ".join(_command(child))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() or ["gateway.execution.process.worker"]  # a zombie has none
    except psutil.NoSuchProcess:
        return []
