"""Deadlines before a model, in simulated time: whoever cannot be answered in time is told, and nothing piles up."""

import asyncio
from typing import Any

import numpy as np
import pytest

from gateway.errors import TooLate
from gateway.eventloop.driver import run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane import Job, Lane, LaneKey
from gateway.execution.latency import LatencyModel
from registry_sync.catalogue import VersionKey
from tests.unit.gateway.execution.support import HeldExecutor, simulated

KEY = LaneKey(VersionKey("m", "1", "0" * 64), "replica")
ONE = {"X": np.ones((1, 1))}


def lane_of(executor: Any) -> Lane:
    return Lane(KEY, executor, EndOfTurn(), is_batching=True, has_one_likeness=True)


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def answer(job: Job) -> str:
    """What became of a job, and after how many milliseconds."""
    began_s = now_s()

    async def outputs() -> Any:
        return await job

    try:
        await run_in_task(outputs())
    except TooLate as error:
        return f"{error} {(now_s() - began_s) * 1000:.0f} ms"
    return f"answered {(now_s() - began_s) * 1000:.0f} ms"


def test_a_model_that_runs_past_a_deadline_is_not_waited_for():
    async def run() -> None:
        executor = HeldExecutor()
        lane = lane_of(executor)
        answers = await asyncio.gather(
            answer(lane.submit(ONE, 1, now_s() + 0.02)), answer(lane.submit(ONE, 1, now_s() + 0.05))
        )
        assert answers == [f"The model did not answer within the deadline. {ms} ms" for ms in (20, 50)]
        assert executor.batches == [[1, 1]]
        executor.end()  # nobody minds what comes then

    simulated(run)


def test_who_waits_for_room_past_his_deadline_is_told_and_never_started():
    async def run() -> None:
        executor = HeldExecutor(threads=1)
        lane = lane_of(executor)
        first = lane.submit(ONE, 1)
        await asyncio.sleep(0)
        late = await answer(lane.submit(ONE, 1, now_s() + 0.03))
        assert late == "The model did not answer within the deadline. 30 ms"
        executor.end()
        await asyncio.sleep(0)
        assert (first.settled, executor.batches) == (True, [[1]])

    simulated(run)


def test_before_a_model_that_hangs_nothing_piles_up():
    async def run() -> None:
        executor = HeldExecutor(threads=2)
        lane = lane_of(executor)
        for _ in range(200):
            assert "within the deadline" in await answer(lane.submit(ONE, 1, now_s() + 0.01))
        assert executor.batches == [[1], [1]]  # and not 200
        lane.submit(ONE, 1, now_s() + 0.01)
        await asyncio.sleep(0)
        assert len(lane._queue) == 1

    simulated(run)


def test_what_is_hopeless_is_refused_at_once_and_not_started():
    async def run() -> None:
        executor = HeldExecutor(expected_s=0.01)
        lane = lane_of(executor)
        with pytest.raises(TooLate, match="less time left than the model takes; it was not started"):
            lane.submit(ONE, 1, now_s() + 0.009)
        with pytest.raises(TooLate):
            lane.submit({"X": np.ones((3, 1))}, 3, now_s() + 0.029)
        with pytest.raises(TooLate):
            lane.submit(ONE, 1, now_s() - 1)
        lane.submit(ONE, 1, now_s() + 0.011)
        await asyncio.sleep(0)
        assert executor.batches == [[1]]

    simulated(run)


def test_what_became_hopeless_while_it_waited_is_not_started():
    async def run() -> None:
        executor = HeldExecutor(threads=1, expected_s=0.01)
        lane = lane_of(executor)
        lane.submit(ONE, 1)
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(answer(lane.submit(ONE, 1, now_s() + 0.02)))
        patient = lane.submit(ONE, 1, now_s() + 1)
        await asyncio.sleep(0.015)
        executor.end()
        assert await waiting == (
            "The deadline would have passed before the model had answered; it was not started. 15 ms"
        )
        assert executor.batches == [[1], [1]]
        executor.end()
        assert patient.settled

    simulated(run)


def test_nobody_is_late_because_of_his_company():
    async def run() -> None:
        executor = HeldExecutor(threads=9, most=64, expected_s=0.01)
        lane = lane_of(executor)
        for _ in range(5):
            lane.submit(ONE, 1, now_s() + 0.025)  # time for two, not for three
        lane.submit(ONE, 1)
        await asyncio.sleep(0)
        assert executor.batches == [[1, 1], [1, 1], [1, 1]]

    simulated(run)


def test_a_model_that_was_slow_once_is_asked_again_in_the_end():
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        executor.pace = LatencyModel(0.1)
        lane, refused = lane_of(executor), 0
        while not executor.batches:
            try:
                lane.submit(ONE, 1, now_s() + 0.05)
            except TooLate:
                refused += 1
            await asyncio.sleep(0)
        assert 20 < refused < 50  # 0.98 ** 34 is a half

    simulated(run)


def test_requests_that_arrive_within_the_wait_go_together():
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        lane, began_s = lane_of(executor), now_s()
        jobs = [lane.submit(ONE, 1, None, 0.01)]
        await asyncio.sleep(0.006)
        jobs.append(lane.submit(ONE, 1, None, 0.01))
        await asyncio.sleep(0.003)
        assert executor.batches == []
        assert await answer(jobs[0]) == "answered 1 ms"
        assert now_s() - began_s == pytest.approx(0.01)
        assert executor.batches == [[1, 1]]
        later = lane.submit(ONE, 1, None, 0.01)
        assert await answer(later) == "answered 10 ms"

    simulated(run)


@pytest.mark.parametrize(
    ("others", "began_after_ms"),
    [
        ([], 50),
        ([(None, 0.05)], 50),
        ([(0.02, 0.05)], 10),  # half of what he has
        ([(0.02, 0.05), (0.008, 0.05), (0.03, 0.05)], 4),
        ([(None, 0.005)], 5),
        ([(None, 0.0)], 0),  # of a route that does not wait
    ],
)
def test_nobody_waits_for_company_longer_than_he_may(others, began_after_ms):
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        lane = lane_of(executor)
        first = lane.submit(ONE, 1, None, 0.05)
        for within_s, wait_s in others:
            lane.submit(ONE, 1, None if within_s is None else now_s() + within_s, wait_s)
        assert await answer(first) == f"answered {began_after_ms} ms"
        assert executor.batches == [[1] * (1 + len(others))]

    simulated(run)


@pytest.mark.parametrize("within_s", [0.002, 0.02, 0.2])
def test_a_wait_never_takes_more_than_half_of_what_is_left(within_s):
    async def run() -> None:
        lane = lane_of(HeldExecutor(is_quick=True))
        half_ms = min(within_s / 2, 0.05) * 1000
        assert await answer(lane.submit(ONE, 1, now_s() + within_s, 0.05)) == f"answered {half_ms:.0f} ms"

    simulated(run)


def test_what_waits_for_room_does_not_wait_for_company_too():
    async def run() -> None:
        executor = HeldExecutor(threads=1)
        lane = lane_of(executor)
        lane.submit(ONE, 1)
        await asyncio.sleep(0)
        lane.submit(ONE, 1)
        await asyncio.sleep(0)
        lane.submit(ONE, 1, None, 0.05)
        await asyncio.sleep(0)
        executor.end()
        await asyncio.sleep(0)
        assert executor.batches == [[1], [1, 1]]

    simulated(run)
