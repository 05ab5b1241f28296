"""Models for processes: one that does what the numbers it is given say, and what a test needs to have it run."""

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
from gateway.execution.lane import Job, Lane
from gateway.execution.lane_pool import LaneOptions, LanePool
from gateway.execution.process.child import ProcessOptions
from registry_sync.catalogue import Version, VersionKey, VersionState
from runtimes.datatypes import NUMPY_OF
from runtimes.load import LoadOptions
from runtimes.manifest import Manifest, TensorSpec, manifest_to_yaml

SLEEP, CRASH, RAISE, HOLD, LEAVE, NICE, THREADS = -1, -2, -3, -4, -5, -6, -7


class Moody:
    """Answers the sum of each row, unless the least of their first numbers says otherwise."""

    def predict(self, features: Any) -> Any:
        """As an estimator of scikit-learn does."""
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
    """Crashes, or sleeps, the process that runs it for the first time."""

    def __init__(self, *, sleeps: bool) -> None:
        self.sleeps = sleeps

    def predict(self, features: Any) -> Any:  # noqa: ARG002  # an estimator's
        """As an estimator of scikit-learn does not."""
        if self.sleeps:
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGSEGV)


def publish_file(root: Path, file: str, content: bytes, **said: Any) -> Version:
    """A version of a directory registry, as a replica knows it whose processes run it."""
    folder = root / "m" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    manifest = Manifest(
        runtime="onnx" if file.endswith(".onnx") else "sklearn", file=file, sha256=digest, placement="process", **said
    )
    (folder / file).write_bytes(content)
    (folder / "model.yaml").write_text(manifest_to_yaml(manifest))
    return Version(VersionKey("m", "1", digest), manifest, VersionState.READY)


def publish_estimator(root: Path, estimator: Any, **said: Any) -> Version:
    """An estimator of two numbers, which answers one."""
    signature = {"inputs": (TensorSpec("X", "FP64", (-1, 2)),), "outputs": (TensorSpec("y", "FP64", (-1,)),)}
    return publish_file(root, "model.pkl", pickle.dumps(estimator), **signature, **said)


def publish_echo(root: Path, *datatypes: str) -> Version:
    """An ONNX model that answers what it is given, in any datatype."""
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


def lanes_of(root: Path, **options: Any) -> LanePool:
    """Lanes that may start processes."""
    processes = ProcessOptions(str(root), LoadOptions(allow_pickle=True), **options)
    return LanePool(EndOfTurn(), LaneOptions(2, 0.002, processes), None)


async def answer(lane: Lane, *numbers: float, within_s: float | None = None) -> Any:
    """What the lane answers to one row: tensors, or an error."""
    return await settled(ask(lane, *numbers, within_s=within_s))


def ask(lane: Lane, *numbers: float, within_s: float | None = None) -> Job:
    """One row before a lane."""
    deadline_s = None if within_s is None else time.perf_counter() + within_s
    return lane.submit({"X": np.array([numbers or (1, 2)], np.float64)}, 1, deadline_s)


async def settled(job: Job) -> Any:
    """What became of a job."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if not job.settled:
        job.call_when_settled(lambda: done.set_result(None))
        async with asyncio.timeout(30):
            await done
    try:
        return job.result()
    except Exception as error:  # noqa: BLE001  # whatever a test looks at
        return error


def child_of(lane: Lane) -> psutil.Process:
    """The process that answers for a lane now."""
    return psutil.Process(lane.executor._keeper.child.pid)  # type: ignore[attr-defined]  # it is a ProcessExecutor


async def until(is_true: Callable[[], Any], within_s: float = 30) -> None:
    """Waits for something that happens elsewhere."""
    async with asyncio.timeout(within_s):
        while not is_true():
            await asyncio.sleep(0.005)


def running(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Runs a test on a loop as replicas have it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def descriptors() -> int:
    """How many sockets and pipes this process has open; files come and go with other tests' threads."""
    kinds = ("socket:", "pipe:")
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(path.readlink()).startswith(kinds)
    return found


def children() -> Sequence[psutil.Process]:
    """Processes that this one has started and that have not been reaped."""
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
