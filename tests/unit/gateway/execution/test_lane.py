"""Batches are formed from the queue, and each request gets the outcome that it would get alone."""

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import TooLate
from gateway.eventloop.driver import Driver, run_in_task
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.job import Job
from gateway.execution.lane import Lane, LaneKey
from registry_sync.version import VersionKey
from runtimes.batching import MOST_MERGED_BYTES
from runtimes.errors import InputRefused, ModelFailed
from tests.unit.gateway.execution.support import HeldExecutor, simulated

KEY = LaneKey(VersionKey("m", "1", "0" * 64), "replica")


def lane_of(executor: Any, *, is_batching: bool = True, has_one_shape_key: bool = False) -> Lane:
    return Lane(KEY, executor, EndOfTurn(), is_batching=is_batching, has_one_shape_key=has_one_shape_key)


def row(value: float = 1.0, rows: int = 1, width: int = 1) -> dict[str, Any]:
    return {"X": np.full((rows, width), value)}


async def outputs(job: Job) -> Any:
    return await job


class Request:
    """A request to a lane, and its outcome."""

    def __init__(self, lane: Lane, inputs: dict[str, Any], within_s: float | None, wait_s: float) -> None:
        self.inputs, self.loop = inputs, asyncio.get_running_loop()
        self.deadline_s = None if within_s is None else self.loop.time() + within_s
        self.outcomes: list[Any] = []
        self.settled_s = 0.0
        self.is_cancelled = False
        try:
            job = lane.submit(inputs, len(inputs["X"]), self.deadline_s, wait_s)
        except TooLate as error:
            self._settle(error)
        else:
            self.driver = Driver(outputs(job), self._settle, self._settle)
            self.driver.step()

    def cancel(self) -> None:
        if not self.outcomes:
            self.is_cancelled = True
            self.driver.cancel()

    def _settle(self, outcome: Any) -> None:
        self.outcomes.append(outcome)
        self.settled_s = self.loop.time()

    def assert_outcome_as_if_alone(self) -> None:
        if self.is_cancelled:
            assert self.outcomes == []
            return
        (outcome,) = self.outcomes
        if self.deadline_s is not None:
            assert self.settled_s <= self.deadline_s + 1e-6
        if isinstance(outcome, TooLate):
            assert self.deadline_s is not None
        elif np.isnan(self.inputs["X"]).any():
            assert isinstance(outcome, InputRefused)
        else:
            assert [tensor.tolist() for tensor in outcome] == [(self.inputs["X"] * 2).tolist()]


milliseconds = st.integers(1, 20).map(lambda number: number / 1000)
actions = st.one_of(
    st.tuples(
        st.just("submit"),
        st.integers(0, 3),  # rows
        st.integers(1, 2),  # width, which makes two shape keys
        st.booleans(),  # poisoned
        st.none() | milliseconds,  # deadline
        st.just(0.0) | milliseconds,  # how long it may be held back
    ),
    st.tuples(st.just("turn")),
    st.tuples(st.just("pass"), milliseconds),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("end"), st.integers(0, 9)),
)


@given(
    st.lists(actions, max_size=40),
    st.integers(1, 3),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.001, 0.004]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=250)
def test_each_request_gets_the_outcome_that_it_would_get_alone(
    script, threads, most, expected_s, is_quick, is_batching
):
    async def run() -> None:
        executor = HeldExecutor(threads, most, expected_s, is_quick=is_quick)
        lane = lane_of(executor, is_batching=is_batching)
        requests: list[Request] = []
        for action, *how in script:
            if action == "submit":
                rows, width, is_poisoned, within_s, wait_s = how
                value = np.nan if is_poisoned else float(len(requests))
                requests.append(Request(lane, row(value, rows, width), within_s, wait_s))
            elif action == "cancel" and requests:
                requests[how[0] % len(requests)].cancel()
            elif action == "end" and executor.held:
                executor.end(how[0] % len(executor.held))
            elif action == "pass":
                await asyncio.sleep(how[0])
            else:
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        while executor.held:
            executor.end()
            await asyncio.sleep(0)
        for each in requests:
            each.assert_outcome_as_if_alone()
        assert executor.most_held <= max(threads, is_quick)
        for batch in executor.batches:
            assert len(batch) == 1 or (is_batching and sum(batch) <= most)
        assert lane.statistics.runs == len(executor.batches)

    simulated(run)


def test_requests_of_one_turn_share_a_batch():
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        lane = lane_of(executor)
        results = await asyncio.gather(*(run_in_task(outputs(lane.submit(row(i), 1))) for i in range(5)))
        assert [result[0].tolist() for result in results] == [[[2.0 * i]] for i in range(5)]
        await run_in_task(outputs(lane.submit(row(), 1)))
        assert executor.batches == [[1] * 5, [1]]

    simulated(run)


def test_a_batch_keeps_to_the_limit_and_takes_the_oldest_first():
    async def run() -> None:
        executor = HeldExecutor(threads=9, most=4)
        lane = lane_of(executor)
        for rows in (3, 2, 1, 9, 2):
            lane.submit(row(rows=rows), rows)
        await asyncio.sleep(0)
        assert executor.batches == [[3, 1], [2, 2], [9]]

    simulated(run)


def test_large_requests_are_merged_only_as_far_as_copying_takes_a_moment():
    """64 requests of 1 MB would be copied for 35 ms on the event loop."""

    async def run() -> None:
        executor = HeldExecutor(threads=99, most=64)
        lane = lane_of(executor)
        for _ in range(9):
            lane.submit(row(width=MOST_MERGED_BYTES // 8 // 4), 1)
        lane.submit(row(width=MOST_MERGED_BYTES), 1)  # larger than the limit
        await asyncio.sleep(0)
        assert executor.batches == [[1] * 4, [1] * 4, [1], [1]]

    simulated(run)


def test_requests_of_different_shapes_do_not_share_a_batch():
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        lane = lane_of(executor)
        for width in (1, 2, 1, 2):
            lane.submit(row(width=width), 1)
        await asyncio.sleep(0)
        assert executor.batches == [[1, 1], [1, 1]]

    simulated(run)


def test_a_version_that_cannot_be_batched_gets_one_request_at_a_time():
    async def run() -> None:
        executor = HeldExecutor(is_quick=True)
        lane = lane_of(executor, is_batching=False)
        for _ in range(3):
            lane.submit(row(), 1, None, 0.005)
        await asyncio.sleep(0)
        assert executor.batches == [[1], [1], [1]]

    simulated(run)


def test_requests_that_wait_for_room_share_the_next_batch():
    async def run() -> None:
        executor = HeldExecutor(threads=1)
        lane = lane_of(executor)
        for _ in range(4):
            lane.submit(row(), 1)
            await asyncio.sleep(0)
        assert executor.batches == [[1]]
        executor.end()
        await asyncio.sleep(0)
        assert executor.batches == [[1], [1, 1, 1]]

    simulated(run)


def test_a_request_that_is_cancelled_in_the_queue_is_not_started():
    async def run() -> None:
        executor = HeldExecutor(threads=1)
        lane = lane_of(executor)
        requests = [Request(lane, row(i), None, 0.0) for i in range(4)]
        requests[2].cancel()
        await asyncio.sleep(0)
        assert executor.batches == [[1, 1, 1]]
        later = [Request(lane, row(i), None, 0.0) for i in range(2)]
        await asyncio.sleep(0)
        for each in later:
            each.cancel()
        executor.end()
        await asyncio.sleep(0)
        assert executor.batches == [[1, 1, 1]]
        assert [len(each.outcomes) for each in requests] == [1, 1, 0, 1]

    simulated(run)


@pytest.mark.parametrize("poisoned", [[7], list(range(64))], ids=["one", "all"])
def test_each_request_gets_its_own_outcome(poisoned):
    async def run() -> None:
        lane = lane_of(HeldExecutor(most=64, is_quick=True))
        requests = [Request(lane, row(np.nan if i in poisoned else i), None, 0.0) for i in range(64)]
        await asyncio.sleep(0)
        refused = [i for i, each in enumerate(requests) if isinstance(each.outcomes[0], InputRefused)]
        assert refused == poisoned
        assert (lane.statistics.failed, lane.statistics.succeeded) == (len(poisoned), 64 - len(poisoned))
        assert (lane.statistics.runs, lane.statistics.instances) == (1, 64)

    simulated(run)


class Failing(HeldExecutor):
    """Raises instead of running a batch."""

    def start(self, *_: Any) -> None:
        """See `gateway.execution.executor.Executor`."""
        raise MemoryError("no room for all of them")


@pytest.mark.parametrize("widths", [(1, 1), (1, 2)], ids=["executor", "merge"])
def test_requests_of_a_batch_that_cannot_be_started_fail(widths):
    async def run() -> None:
        executor = Failing() if widths == (1, 1) else HeldExecutor(is_quick=True)
        lane = lane_of(executor, has_one_shape_key=True)
        requests = [Request(lane, row(width=width), None, 0.0) for width in widths]
        await asyncio.sleep(0)
        assert [[type(outcome) for outcome in each.outcomes] for each in requests] == [[ModelFailed]] * 2
        later = Request(lane_of(HeldExecutor(is_quick=True)), row(), None, 0.0)
        await asyncio.sleep(0)
        assert len(later.outcomes) == 1

    simulated(run)


def test_the_replicas_own_probe_runs_but_is_not_counted():
    async def run() -> None:
        lane = lane_of(HeldExecutor(is_quick=True))
        before = replace(lane.statistics)
        probe = lane.submit(row(), 1, probe=True)
        await asyncio.sleep(0)
        assert (await run_in_task(outputs(probe)))[0].tolist() == [[2.0]]
        assert lane.statistics == before
        lane.submit(row(), 1, probe=True)
        lane.submit(row(rows=2), 2)
        await asyncio.sleep(0)
        counted = lane.statistics
        assert (counted.runs, counted.instances, counted.succeeded) == (1, 2, 1)

    simulated(run)


def test_a_full_batch_is_not_held_back():
    async def run() -> None:
        executor = HeldExecutor(most=4, is_quick=True)
        lane = lane_of(executor)
        for _ in range(3):
            lane.submit(row(), 1, None, 0.01)
        await asyncio.sleep(0)
        assert executor.batches == []
        lane.submit(row(), 1, None, 0.01)
        await asyncio.sleep(0)
        assert executor.batches == [[1] * 4]
        lane.submit(row(), 1, None, 0.01)
        await asyncio.sleep(0)
        assert executor.batches == [[1] * 4]
        await asyncio.sleep(0.01)
        assert executor.batches == [[1] * 4, [1]]

    simulated(run)


def test_many_quick_batches_give_other_callbacks_their_turn():
    async def run() -> None:
        loop: Any = asyncio.get_running_loop()

        class Taking(HeldExecutor):
            def start(self, *given: Any) -> None:
                """See `gateway.execution.executor.Executor`."""
                loop.now_s += 0.002
                super().start(*given)

        executor = Taking(is_quick=True)
        lane = lane_of(executor, is_batching=False)
        requests = [Request(lane, row(i), None, 0.0) for i in range(20)]
        late = Request(lane, row(), 0.012, 0.0)
        turns = 0
        while not all(each.outcomes for each in requests):
            await asyncio.sleep(0)
            turns += 1
        assert turns == 4
        assert isinstance(late.outcomes[0], TooLate)
        assert late.settled_s <= late.deadline_s + 0.013  # not only at 0.040, when all requests before it were done

    simulated(run)


def test_a_request_that_is_cancelled_cancels_its_timer():
    async def run() -> None:
        lane = lane_of(HeldExecutor(threads=1))
        requests = [Request(lane, row(i), 3600.0, 0.0) for i in range(2)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop: Any = asyncio.get_running_loop()
        assert sum(not timer.cancelled() for timer in loop._scheduled) == 2
        for each in requests:
            each.cancel()
        assert not any(not timer.cancelled() for timer in loop._scheduled)

    simulated(run)
