"""Quick batches run on the event loop, slow ones in threads of their version's own, as many as allowed."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from gateway.execution.in_replica import ReplicaExecutor
from gateway.execution.latency import LatencyModel, measured_times
from runtimes.errors import ModelFailed
from runtimes.manifest import Signature, TensorSpec
from tests.support.polling import PATIENCE_S

SIGNATURE = Signature(inputs=(TensorSpec("X", "FP32", (-1, 1)),), outputs=(TensorSpec("y", "FP32", (-1, 1)),))
QUICK_S, SLOW_S, INLINE_BELOW_S = 0.001, 0.1, 0.01
PATIENCE_RUNS = 1000


class Doubling:
    """A model that doubles its input and notes the thread it ran in. A gate can hold it up, and it can raise."""

    def __init__(self, raises: BaseException | None = None) -> None:
        self.unbatched_because = ""
        self.signature = SIGNATURE
        self.threads: list[threading.Thread] = []
        self.gate = threading.Event()
        self.gate.set()
        self._raises = raises

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:  # noqa: ARG002  # the Protocol's
        """See `runtimes.runtime.Runtime.run`."""
        self.threads.append(threading.current_thread())
        assert self.gate.wait(PATIENCE_S)
        if self._raises is not None:
            raise self._raises
        return [inputs["X"] * 2]


def executor(runtime: Doubling, latency: LatencyModel, threads: int = 2, max_rows: int = 64) -> ReplicaExecutor:
    return ReplicaExecutor(runtime, latency, threads=threads, inline_below_s=INLINE_BELOW_S, max_rows=max_rows)


class Outcomes:
    """The callback of an executor: keeps the outcomes it is called with."""

    def __init__(self) -> None:
        self.got: list[tuple[Sequence[Any], float]] = []
        self.threads: list[threading.Thread] = []
        self.event = asyncio.Event()

    def __call__(self, outcomes: Sequence[Any], duration_s: float) -> None:
        self.got.append((outcomes, duration_s))
        self.threads.append(threading.current_thread())
        self.event.set()

    async def arrive(self, count: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.got) < count:
                self.event.clear()
                await self.event.wait()


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def batch(rows: int = 1) -> dict[str, Any]:
    return {"X": np.arange(rows, dtype="f4").reshape(rows, 1)}


def test_a_quick_batch_is_done_before_start_returns_and_on_the_loop():
    async def run() -> None:
        runtime, done = Doubling(), Outcomes()
        executor(runtime, LatencyModel(QUICK_S, 4, QUICK_S)).start(batch(3), [1, 2], None, done)
        ((outcomes, duration_s),) = done.got
        assert [outcome[0].ravel().tolist() for outcome in outcomes] == [[0.0], [2.0, 4.0]]
        assert runtime.threads == [threading.current_thread()]
        assert 0 < duration_s < 10

    run_loop(run())


def test_a_slow_batch_runs_in_a_thread_and_is_done_on_the_loop():
    async def run() -> None:
        runtime, done = Doubling(), Outcomes()
        runtime.gate.clear()
        executor(runtime, LatencyModel(SLOW_S)).start(batch(2), [2], None, done)
        assert done.got == []
        runtime.gate.set()
        await done.arrive()
        assert done.got[0][0][0][0].ravel().tolist() == [0.0, 2.0]
        assert runtime.threads[0].name.startswith("model")
        assert done.threads == [threading.current_thread()]

    run_loop(run())


def test_a_batch_is_as_slow_as_all_its_instances_together():
    latency = LatencyModel(QUICK_S, 11, 0.011)  # a millisecond each
    built = executor(Doubling(), latency)
    assert (built.is_quick(9, batch(9)), built.is_quick(11, batch(11))) == (True, False)
    assert built.batch_limit(1, batch()) in (9, 10)  # so that it stays on the loop
    assert executor(Doubling(), latency, max_rows=4).batch_limit(1, batch()) == 4
    slow = LatencyModel(SLOW_S, 11, 2 * SLOW_S)
    assert executor(Doubling(), slow).batch_limit(1, batch()) == 64  # in a thread anyway


def test_there_is_room_for_as_many_slow_batches_as_threads_and_for_quick_ones_always():
    async def run() -> None:
        runtime, done = Doubling(), Outcomes()
        runtime.gate.clear()
        built = executor(runtime, LatencyModel(QUICK_S, 101, 0.101), threads=2)
        assert built.has_room(50, batch(50))
        built.start(batch(50), [50], None, done)
        assert built.has_room(50, batch(50))
        built.start(batch(50), [50], None, done)
        assert (built.has_room(50, batch(50)), built.has_room(5, batch(5))) == (False, True)
        runtime.gate.set()
        await done.arrive(2)
        assert built.has_room(50, batch(50))
        assert len({thread.name for thread in runtime.threads}) == 2

    run_loop(run())


def test_every_version_has_threads_of_its_own():
    async def run() -> None:
        hanging, other, hung, done = Doubling(), Doubling(), Outcomes(), Outcomes()
        hanging.gate.clear()
        stuck = executor(hanging, LatencyModel(SLOW_S), threads=1)
        stuck.start(batch(), [1], None, hung)
        executor(other, LatencyModel(SLOW_S), threads=1).start(batch(), [1], None, done)
        await done.arrive()
        assert hung.got == []
        hanging.gate.set()
        await hung.arrive()

    run_loop(run())


@pytest.mark.parametrize("took_s", [QUICK_S, SLOW_S], ids=["on the loop", "in a thread"])
@pytest.mark.parametrize("error", [ModelFailed("no"), ZeroDivisionError("not wrapped")])
def test_an_exception_of_a_model_is_an_outcome_for_each_request(took_s, error):
    async def run() -> None:
        done = Outcomes()
        executor(Doubling(error), LatencyModel(took_s)).start(batch(3), [1, 2], None, done)
        await done.arrive()
        outcomes = done.got[0][0]
        assert [type(outcome) for outcome in outcomes] == [ModelFailed, ModelFailed]
        assert all(str(error) in str(outcome) for outcome in outcomes)

    run_loop(run())


def test_the_duration_of_each_run_is_observed():
    async def run() -> None:
        runtime, latency, done = Doubling(), LatencyModel(SLOW_S), Outcomes()
        built = executor(runtime, latency)
        for count in range(1, 1000):
            if built.is_quick(1, batch(1)):
                break
            built.start(batch(), [1], None, done)
            await done.arrive(count)
        assert built.is_quick(1, batch(1))
        assert count > 10  # not after the first run

    run_loop(run())


def test_if_no_thread_can_be_started_the_batch_fails_and_makes_room(monkeypatch):
    async def run() -> None:
        built, done = executor(Doubling(), LatencyModel(SLOW_S), threads=1), Outcomes()

        def refuse(*_: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("gateway.execution.in_replica.ThreadPoolExecutor.submit", refuse)
        built.start(batch(2), [1, 1], None, done)
        ((outcomes, _),) = done.got
        assert [type(outcome) for outcome in outcomes] == [ModelFailed] * 2
        assert built.has_room(1, batch(1))

    run_loop(run())


@pytest.mark.parametrize("took_s", [QUICK_S, SLOW_S], ids=["on the loop", "in a thread"])
def test_a_model_that_calls_exit_has_only_failed(took_s):
    async def run() -> None:
        done = Outcomes()
        executor(Doubling(SystemExit(1)), LatencyModel(took_s)).start(batch(), [1], None, done)
        await done.arrive()
        assert isinstance(done.got[0][0][0], ModelFailed)

    run_loop(run())


class Quadratic:
    """A model of which each run takes a time that grows with the square of the input's length. Notes each length."""

    def __init__(self, seconds_at_256: float) -> None:
        self.unbatched_because = ""
        self.signature = Signature((TensorSpec("X", "FP32", (-1, -1)),), (TensorSpec("y", "FP32", (-1, -1)),))
        self.inline: list[int] = []
        self.in_thread: list[int] = []
        self._factor = seconds_at_256 / 256**2

    def seconds(self, size: int) -> float:
        return self._factor * size**2

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:  # noqa: ARG002  # the Protocol's
        """See `runtimes.runtime.Runtime.run`."""
        size = inputs["X"].size
        (self.in_thread if threading.current_thread().name.startswith("model") else self.inline).append(size)
        time.sleep(self.seconds(size))
        return [inputs["X"]]


@pytest.mark.parametrize("length", [2_000, 3_000])
def test_a_first_large_input_of_a_model_of_variable_shape_does_not_run_on_the_loop(length):
    """One row is one row. But its time grows with the square of its length: 0.6 s and 1.4 s, the limit is 10 ms."""

    async def run() -> None:
        runtime, done = Quadratic(0.01), Outcomes()
        built = executor(runtime, LatencyModel(*measured_times(runtime, 64)))
        runtime.inline.clear()
        row = {"X": np.zeros((1, length), "f4")}
        assert not built.is_quick(1, row)
        for count in (1, 2):  # nor is it later
            built.start(row, [1], None, done)
            await done.arrive(count)
        assert (runtime.inline, runtime.in_thread) == ([], [length] * 2)

    run_loop(run())


def test_no_input_that_is_larger_than_the_ones_before_blocks_the_loop_for_twice_the_limit():
    async def run() -> None:
        runtime, done = Quadratic(0.001), Outcomes()
        built = executor(runtime, LatencyModel(*measured_times(runtime, 64)))
        for count, length in enumerate(range(16, 1600, 16), 1):
            built.start({"X": np.zeros((1, length), "f4")}, [1], None, done)
            await done.arrive(count)
        assert max(map(runtime.seconds, runtime.inline)) < 2 * INLINE_BELOW_S
        assert runtime.in_thread
        small = {"X": np.zeros((1, 16), "f4")}
        for again in range(1, PATIENCE_RUNS):
            built.start(small, [1], None, done)
            await done.arrive(count + again)
            if built.is_quick(1, small):
                break
        assert built.is_quick(1, small)

    run_loop(run())


def test_a_large_input_that_proved_quick_in_a_thread_runs_on_the_loop_from_then_on():
    async def run() -> None:
        runtime, done = Doubling(), Outcomes()
        built = executor(runtime, LatencyModel(QUICK_S, 16, QUICK_S))
        for count in range(1, PATIENCE_RUNS):
            built.start(batch(60), [60], None, done)
            await done.arrive(count)
            if runtime.threads[-1] is threading.current_thread():
                break
        assert runtime.threads[0] is not threading.current_thread()
        assert runtime.threads[-1] is threading.current_thread()

    run_loop(run())


def test_a_batch_of_quick_requests_is_no_larger_than_what_runs_on_the_loop():
    built = executor(Doubling(), LatencyModel(QUICK_S, 16, QUICK_S))
    assert built.batch_limit(1, batch(1)) == 32  # twice the 16 that were measured
    assert built.batch_limit(4, batch(4)) == 32
    assert built.batch_limit(40, batch(40)) == 64  # in a thread anyway
