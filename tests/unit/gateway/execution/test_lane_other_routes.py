"""A request that was never run is the arm's error, unless requests of other routes kept the version busy."""

import asyncio

import numpy as np
import pytest

from gateway.errors import TooLate
from gateway.eventloop.driver import run_in_task
from gateway.execution.job import Job
from gateway.execution.lane import Lane
from gateway.execution.latency import LatencyModel
from tests.unit.gateway.execution.support import HeldExecutor, simulated
from tests.unit.gateway.execution.test_lane_deadlines import ONE, lane_of, now_s

TEN = {"X": np.ones((10, 1))}


async def is_arms_error(job: Job) -> bool:
    """Wait for a request whose deadline passes. Return False if it was not started, by no fault of its route."""

    async def outputs() -> None:
        await job

    with pytest.raises(TooLate) as late:
        await run_in_task(outputs())
    return not late.value.is_not_started


async def keep_busy(lane: Lane, executor: HeldExecutor, routes: list[str], each_s: float = 0.1) -> None:
    """Run a request of each route, one after the other."""
    for route in routes:
        lane.submit(ONE, 1, route=route)
    for _ in routes:
        await asyncio.sleep(each_s)
        executor.end(duration_s=each_s)


@pytest.mark.parametrize(("hanging", "is_error"), [("own", True), ("other", False)])
def test_a_request_behind_one_that_hangs_is_the_error_of_the_route_that_sent_that(hanging, is_error):
    async def run() -> None:
        lane = lane_of(HeldExecutor())
        lane.submit(ONE, 1, route=hanging)
        await asyncio.sleep(3)
        waiting = lane.submit(ONE, 1, now_s() + 0.5, route="own")
        assert await is_arms_error(waiting) is is_error

    simulated(run)


@pytest.mark.parametrize(
    ("ahead", "is_error"),
    [
        (["other"] * 9 + ["own"], False),
        (["own"] * 4 + ["other"] * 6, False),
        (["own", "other"] * 5, True),  # half of the work is its own
        (["own"] * 9 + ["other"], True),
        (["own"] * 10, True),
    ],
    ids=lambda each: str(each) if isinstance(each, bool) else f"{each.count('other')} of others",
)
def test_whose_requests_filled_the_queue_decides(ahead, is_error):
    async def run() -> None:
        executor = HeldExecutor(most=1)
        lane = lane_of(executor)
        busy = asyncio.ensure_future(keep_busy(lane, executor, ahead))
        await asyncio.sleep(0)
        waiting = lane.submit(ONE, 1, now_s() + 0.95, route="own")
        assert await is_arms_error(waiting) is is_error
        await busy

    simulated(run)


def test_what_a_version_did_before_the_request_came_does_not_count():
    async def run() -> None:
        executor = HeldExecutor(most=1)
        lane = lane_of(executor)
        await keep_busy(lane, executor, ["other"] * 100)
        lane.submit(ONE, 1, route="other")
        await asyncio.sleep(60)
        lane.submit(ONE, 1, route="own")
        waiting = lane.submit(ONE, 1, now_s() + 0.5, route="own")
        await asyncio.sleep(0.1)
        executor.end(duration_s=60.1)
        assert await is_arms_error(waiting)  # 0.1 s behind another route's, 0.4 s behind its own

    simulated(run)


@pytest.mark.parametrize(("own", "other", "is_error"), [(TEN, ONE, True), (ONE, TEN, False)])
def test_requests_that_share_a_run_share_its_time_by_rows(own, other, is_error):
    async def run() -> None:
        executor = HeldExecutor(most=11)
        lane = lane_of(executor)
        for inputs, route in ((own, "own"), (other, "other")):
            lane.submit(inputs, len(inputs["X"]), route=route)
        await asyncio.sleep(0)
        assert executor.batches == [[len(own["X"]), len(other["X"])]]
        waiting = lane.submit(ONE, 1, now_s() + 0.5, route="own")
        assert await is_arms_error(waiting) is is_error

    simulated(run)


def test_a_request_that_ran_and_missed_its_deadline_is_the_arms_error():
    async def run() -> None:
        executor = HeldExecutor(most=1)
        lane = lane_of(executor)
        lane.submit(ONE, 1, route="other")
        late = lane.submit(ONE, 1, now_s() + 0.5, route="own")
        await asyncio.sleep(0.4)
        executor.end(duration_s=0.4)
        assert await is_arms_error(late)
        assert executor.batches == [[1], [1]]

    simulated(run)


@pytest.mark.parametrize(("ahead", "is_error"), [("own", True), ("other", False)])
def test_a_request_that_has_too_little_time_left_after_its_wait(ahead, is_error):
    async def run() -> None:
        executor = HeldExecutor(most=1)
        executor.latency = LatencyModel(0.2)
        lane = lane_of(executor)
        lane.submit(ONE, 1, route=ahead)
        waiting = lane.submit(ONE, 1, now_s() + 0.5, route="own")
        await asyncio.sleep(0.4)
        executor.end(duration_s=0.4)
        assert await is_arms_error(waiting) is is_error
        assert executor.batches == [[1]]

    simulated(run)
