"""Deadlines of queued requests, in simulated time: late requests get an error, and nothing piles up."""

import asyncio
from typing import Any

import numpy as np
import pytest

from gateway.errors import TooLate
from gateway.eventloop.driver import run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.job import Job
from gateway.execution.lane import Lane, LaneKey
from gateway.execution.latency import LatencyModel
from gateway.execution.paces import MOST_REFUSED
from registry_sync.version import VersionKey
from tests.unit.gateway.execution.support import HeldExecutor, simulated

KEY = LaneKey(VersionKey("m", "1", "0" * 64), "replica")
ONE = {"X": np.ones((1, 1))}


def lane_of(executor: Any) -> Lane:
    return Lane(KEY, executor, EndOfTurn(), is_batching=True, has_one_shape_key=True)


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def outcome(job: Job) -> str:
    """Wait for a job. Return its outcome and how many milliseconds it took."""
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
        outcomes = await asyncio.gather(
            outcome(lane.submit(ONE, 1, now_s() + 0.02)), outcome(lane.submit(ONE, 1, now_s() + 0.05))
        )
        assert outcomes == [f"The model did not answer within the deadline. {ms} ms" for ms in (20, 50)]
        assert executor.batches == [[1, 1]]
        executor.end()  # results that are too late are dropped

    simulated(run)


def test_a_request_that_waits_past_its_deadline_fails_and_is_never_started():
    async def run() -> None:
        executor = HeldExecutor(threads=1)
        lane = lane_of(executor)
        first = lane.submit(ONE, 1)
        await asyncio.sleep(0)
        late = await outcome(lane.submit(ONE, 1, now_s() + 0.03))
        assert late == "The model did not answer within the deadline. 30 ms"
        executor.end()
        await asyncio.sleep(0)
        assert (first.settled, executor.batches) == (True, [[1]])

    simulated(run)


def test_requests_to_a_model_that_hangs_do_not_pile_up():
    async def run() -> None:
        executor = HeldExecutor(threads=2)
        lane = lane_of(executor)
        for _ in range(200):
            assert "within the deadline" in await outcome(lane.submit(ONE, 1, now_s() + 0.01))
        assert executor.batches == [[1], [1]]  # and not 200
        lane.submit(ONE, 1, now_s() + 0.01)
        await asyncio.sleep(0)
        assert len(lane._queue) == 1

    simulated(run)


def test_a_deadline_that_cannot_be_met_is_refused_at_once():
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


def test_a_deadline_that_became_hopeless_in_the_queue_is_not_started():
    async def run() -> None:
        executor = HeldExecutor(threads=1, expected_s=0.01)
        lane = lane_of(executor)
        lane.submit(ONE, 1)
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(outcome(lane.submit(ONE, 1, now_s() + 0.02)))
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


def test_no_request_is_late_because_of_the_others_in_its_batch():
    async def run() -> None:
        executor = HeldExecutor(threads=9, most=64, expected_s=0.01)
        lane = lane_of(executor)
        for _ in range(5):
            lane.submit(ONE, 1, now_s() + 0.025)  # time for two, not for three
        lane.submit(ONE, 1)
        await asyncio.sleep(0)
        assert executor.batches == [[1, 1], [1, 1], [1, 1]]

    simulated(run)


def test_a_model_that_was_slow_once_gets_requests_again_in_the_end():
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        executor.latency = LatencyModel(0.1)
        lane, refused = lane_of(executor), 0
        while not executor.batches:
            try:
                lane.submit(ONE, 1, now_s() + 0.05)
            except TooLate:
                refused += 1
            await asyncio.sleep(0)
        assert refused == MOST_REFUSED

    simulated(run)


def test_what_another_routes_requests_took_refuses_none_of_this_one():
    async def run() -> None:
        executor = HeldExecutor(threads=9)
        executor.latency = LatencyModel(0.001)
        lane = lane_of(executor)
        for _ in range(4):
            slow = lane.submit(ONE, 1, route="slow")
            await asyncio.sleep(3)
            executor.end(duration_s=3.0)
            assert slow.settled
        with pytest.raises(TooLate) as refused:
            lane.submit(ONE, 1, now_s() + 0.5, route="slow")
        assert refused.value.is_not_started
        batches = len(executor.batches)
        for _ in range(20):
            job = lane.submit(ONE, 1, now_s() + 0.5, route="quick")
            await asyncio.sleep(0.001)
            executor.end(duration_s=0.001)
            assert await outcome(job) == "answered 0 ms"
        assert len(executor.batches) == batches + 20

    simulated(run)


def test_a_model_that_is_too_slow_for_its_deadline_misses_it_in_what_it_runs():
    """Whatever the estimate says, some requests are run, and their deadlines pass: that is the model's own fault."""

    async def run() -> None:
        executor = HeldExecutor(threads=1)
        executor.latency = LatencyModel(60.0)
        lane, foretold, missed = lane_of(executor), 0, 0
        for _ in range(100):
            try:
                job = lane.submit(ONE, 1, now_s() + 0.5)
            except TooLate as error:
                foretold += error.is_not_started
                continue
            missed += (await outcome(job)).startswith("The model did not answer within the deadline.")
        assert (foretold, missed) == (90, 10)

    simulated(run)


def test_a_request_that_waited_too_long_was_not_refused_by_an_estimate():
    async def run() -> None:
        executor = HeldExecutor(threads=1, expected_s=0.4)
        lane = lane_of(executor)
        lane.submit(ONE, 1)
        await asyncio.sleep(0)
        waiting = lane.submit(ONE, 1, now_s() + 0.5)
        await asyncio.sleep(0.2)
        executor.end()
        late: list[TooLate] = []

        async def wait() -> None:
            try:
                await waiting
            except TooLate as error:
                late.append(error)

        await run_in_task(wait())
        assert [("it was not started" in str(error), error.is_not_started) for error in late] == [(True, False)]

    simulated(run)


def test_requests_that_arrive_within_the_wait_share_a_batch():
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        lane, began_s = lane_of(executor), now_s()
        jobs = [lane.submit(ONE, 1, None, 0.01)]
        await asyncio.sleep(0.006)
        jobs.append(lane.submit(ONE, 1, None, 0.01))
        await asyncio.sleep(0.003)
        assert executor.batches == []
        assert await outcome(jobs[0]) == "answered 1 ms"
        assert now_s() - began_s == pytest.approx(0.01)
        assert executor.batches == [[1, 1]]
        later = lane.submit(ONE, 1, None, 0.01)
        assert await outcome(later) == "answered 10 ms"

    simulated(run)


@pytest.mark.parametrize(
    ("others", "began_after_ms"),
    [
        ([], 50),
        ([(None, 0.05)], 50),
        ([(0.02, 0.05)], 10),  # half of the time it has
        ([(0.02, 0.05), (0.008, 0.05), (0.03, 0.05)], 4),
        ([(None, 0.005)], 5),
        ([(None, 0.0)], 0),  # of a route without batch_wait
    ],
)
def test_no_request_is_held_back_longer_than_it_may(others, began_after_ms):
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        lane = lane_of(executor)
        first = lane.submit(ONE, 1, None, 0.05)
        for within_s, wait_s in others:
            lane.submit(ONE, 1, None if within_s is None else now_s() + within_s, wait_s)
        assert await outcome(first) == f"answered {began_after_ms} ms"
        assert executor.batches == [[1] * (1 + len(others))]

    simulated(run)


@pytest.mark.parametrize("within_s", [0.002, 0.02, 0.2])
def test_a_request_is_held_back_for_half_of_its_time_at_most(within_s):
    async def run() -> None:
        lane = lane_of(HeldExecutor(is_quick=True))
        half_ms = min(within_s / 2, 0.05) * 1000
        assert await outcome(lane.submit(ONE, 1, now_s() + within_s, 0.05)) == f"answered {half_ms:.0f} ms"

    simulated(run)


def test_a_request_that_waits_for_room_is_not_held_back_as_well():
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
