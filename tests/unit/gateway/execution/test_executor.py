"""Where a batch runs: on the event loop while it is quick, else in threads of its version's own, as many as allowed."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from gateway.execution.executor import ReplicaExecutor
from gateway.execution.latency import LatencyModel
from runtimes.errors import ModelFailed
from runtimes.manifest import Signature, TensorSpec
from tests.support.polling import PATIENCE_S

SIGNATURE = Signature(inputs=(TensorSpec("X", "FP32", (-1, 1)),), outputs=(TensorSpec("y", "FP32", (-1, 1)),))
QUICK_S, SLOW_S, INLINE_BELOW_S = 0.001, 0.1, 0.01


class Doubling:
    """Says where it ran; a gate may hold it up, and it may raise."""

    def __init__(self, raises: BaseException | None = None) -> None:
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


def executor(runtime: Doubling, pace: LatencyModel, threads: int = 2, max_rows: int = 64) -> ReplicaExecutor:
    return ReplicaExecutor(runtime, pace, threads=threads, inline_below_s=INLINE_BELOW_S, max_rows=max_rows)


class Outcomes:
    """What the executor calls when it is done."""

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


def ran(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def batch(rows: int = 1) -> dict[str, Any]:
    return {"X": np.arange(rows, dtype="f4").reshape(rows, 1)}


def test_a_quick_batch_is_done_before_start_returns_and_on_the_loop():
    async def run() -> None:
        runtime, done = Doubling(), Outcomes()
        executor(runtime, LatencyModel(QUICK_S)).start(batch(3), [1, 2], None, done)
        ((outcomes, duration_s),) = done.got
        assert [outcome[0].ravel().tolist() for outcome in outcomes] == [[0.0], [2.0, 4.0]]
        assert runtime.threads == [threading.current_thread()]
        assert 0 < duration_s < 10

    ran(run())


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

    ran(run())


def test_a_batch_is_as_slow_as_all_its_instances_together():
    pace = LatencyModel(QUICK_S, 11, 0.011)  # a millisecond each
    built = executor(Doubling(), pace)
    assert (built.is_quick(9), built.is_quick(11)) == (True, False)
    assert built.rows_at_best() in (9, 10)  # so that it stays on the loop
    assert executor(Doubling(), pace, max_rows=4).rows_at_best() == 4
    assert executor(Doubling(), LatencyModel(SLOW_S, 11, 2 * SLOW_S)).rows_at_best() == 64  # in a thread anyway


def test_there_is_room_for_as_many_slow_batches_as_threads_and_for_quick_ones_always():
    async def run() -> None:
        runtime, done = Doubling(), Outcomes()
        runtime.gate.clear()
        built = executor(runtime, LatencyModel(QUICK_S, 101, 0.101), threads=2)
        assert built.has_room(50)
        built.start(batch(50), [50], None, done)
        assert built.has_room(50)
        built.start(batch(50), [50], None, done)
        assert (built.has_room(50), built.has_room(5)) == (False, True)
        runtime.gate.set()
        await done.arrive(2)
        assert built.has_room(50)
        assert len({thread.name for thread in runtime.threads}) == 2

    ran(run())


def test_every_version_has_threads_of_its_own():
    async def run() -> None:
        hanging, other, never, done = Doubling(), Doubling(), Outcomes(), Outcomes()
        hanging.gate.clear()
        stuck = executor(hanging, LatencyModel(SLOW_S), threads=1)
        stuck.start(batch(), [1], None, never)
        executor(other, LatencyModel(SLOW_S), threads=1).start(batch(), [1], None, done)
        await done.arrive()
        assert never.got == []
        hanging.gate.set()
        await never.arrive()

    ran(run())


@pytest.mark.parametrize("took_s", [QUICK_S, SLOW_S], ids=["on the loop", "in a thread"])
@pytest.mark.parametrize("error", [ModelFailed("no"), ZeroDivisionError("not wrapped")])
def test_whatever_a_model_raises_is_an_outcome_for_each(took_s, error):
    async def run() -> None:
        done = Outcomes()
        executor(Doubling(error), LatencyModel(took_s)).start(batch(3), [1, 2], None, done)
        await done.arrive()
        outcomes = done.got[0][0]
        assert [type(outcome) for outcome in outcomes] == [ModelFailed, ModelFailed]
        assert all(str(error) in str(outcome) for outcome in outcomes)

    ran(run())


def test_what_a_run_took_is_observed():
    async def run() -> None:
        runtime, pace, done = Doubling(), LatencyModel(SLOW_S), Outcomes()
        built = executor(runtime, pace)
        for count in range(1, 1000):
            if built.is_quick(1):
                break
            built.start(batch(), [1], None, done)
            await done.arrive(count)
        assert built.is_quick(1)
        assert count > 10  # not at the first glance

    ran(run())


def test_where_no_thread_can_be_had_the_batch_fails_and_makes_room(monkeypatch):
    async def run() -> None:
        built, done = executor(Doubling(), LatencyModel(SLOW_S), threads=1), Outcomes()

        def refuse(*_: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("gateway.execution.executor.ThreadPoolExecutor.submit", refuse)
        built.start(batch(2), [1, 1], None, done)
        ((outcomes, _),) = done.got
        assert [type(outcome) for outcome in outcomes] == [ModelFailed] * 2
        assert built.has_room(1)

    ran(run())


@pytest.mark.parametrize("took_s", [QUICK_S, SLOW_S], ids=["on the loop", "in a thread"])
def test_a_model_that_wants_to_end_the_process_has_only_failed(took_s):
    async def run() -> None:
        done = Outcomes()
        executor(Doubling(SystemExit(1)), LatencyModel(took_s)).start(batch(), [1], None, done)
        await done.arrive()
        assert isinstance(done.got[0][0][0], ModelFailed)

    ran(run())
