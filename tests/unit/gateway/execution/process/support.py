"""Models for child processes, and what a test needs to run them."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop
from onnx import helper

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.job import Job
from gateway.execution.lane import Lane
from gateway.execution.lane_pool import LanePool
from gateway.execution.open_in_replica import LaneOptions
from gateway.execution.process.model import ProcessOptions
from registry_sync.version import Version, VersionKey, VersionState
from runtimes.load_options import LoadOptions
from runtimes.manifest import TensorSpec
from tests.support.models import onnx_content, pickled, write_version
from tests.support.polling import PATIENCE_S

SLEEP, CRASH, RAISE, HOLD, LEAVE, NICE, THREADS = -1, -2, -3, -4, -5, -6, -7


class Moody:
    """Returns the sum of each row, or does what the least of their first numbers (`SLEEP`, `CRASH`, ...) stands for."""

    def predict(self, features: Any) -> Any:
        """Predict as an estimator of scikit-learn does."""
        first = int(features[:, 0].min(initial=0))
        if first == SLEEP:
            time.sleep(600)
        if first == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        if first == RAISE:
            raise ValueError("in no mood")
        if first == HOLD:
            ctypes.PyDLL(None).sleep(600)  # which keeps the interpreter's lock
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
            time.sleep(600)
        os.kill(os.getpid(), signal.SIGSEGV)


def publish_file(root: Path, file: str, content: bytes, **more: Any) -> Version:
    """Write a version to a directory registry. Return it as a replica has it that runs it in a process."""
    written = write_version(root, "m", "1", content, **{"file": file, "placement": "process", **more})
    return Version(VersionKey("m", "1", written.sha256), written, VersionState.READY)


def publish_estimator(root: Path, estimator: Any, **more: Any) -> Version:
    """Publish an estimator that takes two numbers and returns one."""
    signature = {"inputs": (TensorSpec("X", "FP64", (-1, 2)),), "outputs": (TensorSpec("y", "FP64", (-1,)),)}
    return publish_file(root, "model.pkl", pickled(estimator), **{**signature, **more})


def publish_echo(root: Path, *datatypes: str) -> Version:
    """Publish an ONNX model that returns its inputs, in any datatype."""
    nodes = [helper.make_node("Identity", ["x" + name], ["y" + name]) for name in datatypes]
    inputs, outputs = (tuple(TensorSpec(side + name, name, (-1, 2)) for name in datatypes) for side in "xy")
    return publish_file(root, "model.onnx", onnx_content(nodes, inputs, outputs), inputs=inputs, outputs=outputs)


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
        async with asyncio.timeout(PATIENCE_S):
            await done
    try:
        return job.result()
    except Exception as error:  # noqa: BLE001  # the test looks at it
        return error


def child_of(lane: Lane) -> psutil.Process:
    """Return the process that a lane uses now."""
    return psutil.Process(lane.executor.supervisor.child.pid)  # type: ignore[attr-defined]  # it is a ProcessExecutor


def running(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a test on the event loop that replicas use."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def descriptors() -> set[str]:
    """Return the open sockets and pipes of this process. Files come and go with other tests' threads."""
    kinds = ("socket:", "pipe:")
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(path.readlink())
            if target.startswith(kinds):
                found.add(target)
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
