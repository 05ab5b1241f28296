"""Shadows run after the response. They hold a bounded number of requests; what they miss is counted."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.breaker import FAILURES_IN_A_ROW, BreakerState
from gateway.execution.lane import Lane, LaneKey
from gateway.inference.call import Call
from gateway.inference.live_table import LiveShadow
from gateway.inference.recorder import Recorder
from gateway.inference.shadows import FIRST_ATTEMPT, LONGEST_DELAY_S, MOST_BYTES, MOST_REQUESTS, Shadows
from inference_log.record import Comparison, Context, Record
from inference_log.segment import read_segment
from inference_log.writer import LogWriter
from registry_sync.version import VersionKey
from router.draw.assignment import bucket, seed_state
from router.snapshot import Shadow
from runtimes.errors import ModelFailed
from tests.unit.gateway.execution.support import HeldExecutor, SimulatedLoop


def context(against: str) -> Context:
    return Context(0, "r", "s", "shadow", "split", 1, "hash", {}, "m", "2", "0" * 64, against=against)


def a_shadow(executor: Any, name: str = "s", **said: Any) -> LiveShadow:
    """Return a shadow of arms 0 and 1 with its own lane."""
    lane = Lane(
        LaneKey(VersionKey("m", "2", "0" * 64), "replica", True),
        executor,
        EndOfTurn(),
        is_batching=True,
        has_one_shape_key=True,
    )
    given = {
        "primaries": frozenset({0, 1}),
        "sample_slots": 10_000,
        "seed_state": seed_state("seed"),
        "deadline_s": 1.0,
        "placement": "replica",
        "tolerance": 0.1,
    } | said
    shadow = Shadow(name=name, model="m", version="2", digest="0" * 64, **given)
    return LiveShadow(shadow, lane, (context("a"), context("b"), context("c")), None, 0, shadow.tolerance, (0,))


class Bench:
    """Shadows of a route, with a log and the counted metrics, for a simulated event loop."""

    def __init__(self, folder: Any, *shadows: LiveShadow) -> None:
        self.writer = LogWriter(folder, "w")
        self.counted: list[tuple[Any, ...]] = []
        self.shadows = Shadows(
            Recorder(self.writer), SimpleNamespace(count_shadow=lambda *each: self.counted.append(each))
        )
        self.live: Any = SimpleNamespace(route=SimpleNamespace(name="r"), shadows=shadows)

    def offer(self, decision_id: str = "d", value: float = 1.0, primary: int = 0, rows: int = 1, **more: Any) -> None:
        """Offer a request that an arm has answered with twice its value."""
        inputs = {"X": np.full((rows, 1), value)}
        call = Call(decision_id, 0.0, inputs, rows, request_id="q", trace_id="t", unit_hash="u", **more)
        self.shadows.offer(self.live, call, primary, [inputs["X"] * 2], 0.004)

    def records(self) -> list[Record]:
        path = self.writer.active_path
        return [] if path is None else list(read_segment(path.read_bytes()).records)

    def contexts(self) -> list[Context]:
        segment = read_segment(self.writer.active_path.read_bytes())
        return [segment.contexts[record.context] for record in segment.records]


def simulated(work: Any) -> None:
    """Run a test in simulated time, which shadows and lanes read, too."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        now = runner.get_loop().time
        clock = SimpleNamespace(perf_counter=now, time_ns=lambda: int(now() * 1e9))
        with patch("gateway.execution.lane.time", clock), patch("gateway.inference.shadows.time", clock):
            runner.run(work())


@pytest.fixture
def bench(tmp_path):
    def make(*shadows: LiveShadow) -> Bench:
        return Bench(tmp_path, *shadows)

    return make


def test_an_answer_is_compared_and_recorded_beside_the_primarys(bench):
    async def run():
        executor = HeldExecutor()
        made = bench(a_shadow(executor))
        made.offer(value=1.0, primary=1, rows=2)
        assert executor.held == []
        await asyncio.sleep(0.012)
        executor.held[0][0]["X"][1] += 0.5  # so the second output grows by one
        await asyncio.sleep(0.1)
        executor.end()
        await asyncio.sleep(0.04)
        (record,), (introduced,) = made.records(), made.contexts()
        assert (introduced.role, introduced.against) == ("shadow", "b")
        assert record.comparison == Comparison(2, 1, 1_000_000, 1_000_000, -3000)
        assert (record.decision_id, record.attempt, record.reason, record.propensity) == (
            "d",
            FIRST_ATTEMPT,
            "SHADOW",
            None,
        )
        assert (record.status, record.outcome, record.error_code) == (200, "ok", "")
        assert (record.unit_hash, record.request_id, record.trace_id, record.batch_size) == ("u", "q", "t", 2)
        assert (record.inputs, record.outputs) == ((), (np.array([2.0, 3.0]).tobytes(),))
        assert record.model_us == 1000
        assert 100_000 < record.latency_us < 120_000
        assert [(*each[:4],) for each in made.counted] == [("r", "s", "2", 200)]
        assert made.shadows.dropped == {}

    simulated(run)


def test_nothing_is_run_before_the_answer_was_written(bench):
    async def run():
        executor = HeldExecutor(is_quick=True)
        made = bench(a_shadow(executor))
        for number in range(20):
            made.offer(str(number))
            before = len(executor.batches)
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(executor.batches) == before
            await asyncio.sleep(0.0015)
        await asyncio.sleep(0.04)
        assert len(made.records()) == 20

    simulated(run)


def test_a_request_that_is_offered_while_others_are_looked_at_waits_until_its_own_answer_was_written(bench):
    async def run():
        executor = HeldExecutor(most=64)
        made = bench(a_shadow(executor))
        made.offer("first")
        await asyncio.sleep(0.04)
        made.offer("second")
        executor.end()
        await asyncio.sleep(0.0005)
        assert executor.held == []
        await asyncio.sleep(0.04)
        assert len(executor.held) == 1

    simulated(run)


def test_shadows_are_for_some_primaries_and_for_a_sample_of_the_units(bench):
    async def run():
        some = a_shadow(HeldExecutor(is_quick=True), "some", primaries=frozenset({1}))
        few = a_shadow(HeldExecutor(is_quick=True), "few", sample_slots=2_000)
        made = bench(some, few)
        for number in range(200):
            made.offer(f"d{number}", primary=number % 2, unit=f"u{number // 2}" if number < 100 else None)
            await asyncio.sleep(0.012)
        await asyncio.sleep(0.04)
        seen = [{record.decision_id for record in made.records() if record.attempt == 100 + index} for index in (0, 1)]
        assert seen[0] == {f"d{number}" for number in range(1, 200, 2)}
        assert seen[1] == {
            f"d{number}"
            for number in range(200)
            if bucket(seed_state("seed"), f"u{number // 2}" if number < 100 else f"d{number}") < 2_000
        }

    simulated(run)


def test_a_shadow_that_hangs_has_so_many_in_hand_and_the_others_are_dropped(bench):
    async def run():
        slow, quick = a_shadow(HeldExecutor(most=1), "slow", deadline_s=60.0), a_shadow(HeldExecutor(is_quick=True))
        made = bench(slow, quick)
        for number in range(MOST_REQUESTS + 30):
            made.offer(str(number))
            await asyncio.sleep(0.012)
        assert made.shadows.dropped == {("r", "slow", "full"): 30}
        assert len(made.records()) == MOST_REQUESTS + 30  # records of the other shadow, which goes on
        slow.lane.executor.end()
        await asyncio.sleep(0.04)
        made.offer("again")
        await asyncio.sleep(0.04)
        assert made.shadows.dropped == {("r", "slow", "full"): 30}

    simulated(run)


def test_what_a_shadow_has_in_hand_is_bounded_in_bytes_too(bench):
    async def run():
        made = bench(a_shadow(HeldExecutor(most=1)))
        rows = MOST_BYTES // 16  # eight bytes in, eight bytes out
        made.offer(rows=rows + 1)
        assert made.shadows.dropped == {("r", "s", "too_large"): 1}
        made.offer(rows=rows)
        made.offer(rows=1)
        assert made.shadows.dropped[("r", "s", "full")] == 1
        await asyncio.sleep(0.04)
        made.live.shadows[0].lane.executor.end()
        await asyncio.sleep(0.04)
        made.offer(rows=rows)
        assert made.shadows.dropped[("r", "s", "full")] == 1

    simulated(run)


def test_strings_take_what_they_are_long(bench):
    async def run():
        made = bench(a_shadow(HeldExecutor()))
        words = {"X": np.array([b"x" * (MOST_BYTES // 2 + 1), b"y" * (MOST_BYTES // 2)], object)}
        made.shadows.offer(made.live, Call("d", 0.0, words, 2), 0, [], 0.0)
        assert made.shadows.dropped == {("r", "s", "too_large"): 1}

    simulated(run)


def test_a_shadow_that_is_late_is_recorded_as_such_and_one_that_must_be_is_not_asked(bench):
    async def run():
        executor = HeldExecutor(most=1)
        made = bench(a_shadow(executor, deadline_s=0.1))
        made.offer("running")
        made.offer("waiting")
        await asyncio.sleep(0.2)
        assert [(each.decision_id, each.status, each.outcome, each.error_code) for each in made.records()] == [
            ("running", 504, "timeout", "TooLate"),
            ("waiting", 504, "timeout", "TooLate"),
        ]
        assert [each.comparison for each in made.records()] == [None, None]
        executor.latency.per_row_s = 0.2
        made.offer("hopeless")
        await asyncio.sleep(0.04)
        assert made.shadows.dropped == {("r", "s", "late"): 1}
        assert len(made.records()) == 2

    simulated(run)


def test_a_shadow_that_fails_again_and_again_is_left_alone_for_a_moment(bench):
    async def run():
        executor = HeldExecutor(is_quick=True)
        live_shadow = a_shadow(executor)
        made = bench(live_shadow)
        succeed = executor.end
        executor.end = lambda index=0: executor.held.pop(index)[2]([ModelFailed("no")], 0.0)
        for number in range(FAILURES_IN_A_ROW + 3):
            made.offer(str(number))
            await asyncio.sleep(0.025)
        assert made.shadows.dropped == {("r", "s", "breaker"): 3}
        assert {(each.status, each.outcome, each.error_code) for each in made.records()} == {
            (500, "error", "ModelFailed")
        }
        assert len(made.records()) == FAILURES_IN_A_ROW
        executor.end = succeed
        await asyncio.sleep(1.1)
        executor.latency.per_row_s = 2.0
        made.offer("a trial that would be late")
        await asyncio.sleep(0.04)
        executor.latency.per_row_s = 0.0
        assert made.shadows.dropped.pop(("r", "s", "late")) == 1
        made.offer("trial")
        await asyncio.sleep(0.04)
        assert live_shadow.lane.breaker.state is BreakerState.CLOSED

    simulated(run)


def test_many_that_end_together_are_looked_at_a_few_at_a_time(bench):
    turns: list[int] = []

    async def run():
        made = bench(a_shadow(HeldExecutor(most=128)))
        for number in range(64):
            made.offer(str(number))
        await asyncio.sleep(0.04)
        executor = made.live.shadows[0].lane.executor
        settle = made.shadows._settle

        def slow_settle(*each: Any) -> None:
            asyncio.get_running_loop().now_s += 0.0001  # the time of one comparison
            turns.append(asyncio.get_running_loop().turn)
            settle(*each)

        made.shadows._settle = slow_settle
        loop = asyncio.get_running_loop()
        loop.turn = 0
        while executor.held:
            executor.end()
        while len(turns) < 64:
            loop.turn += 1
            await asyncio.sleep(0)
        assert len(made.records()) == 64

    simulated(run)
    assert max(turns.count(turn) for turn in set(turns)) <= 3


def test_one_that_cannot_be_compared_costs_the_others_nothing(bench):
    async def run():
        made = bench(a_shadow(HeldExecutor(is_quick=True)))
        made.offer("good")
        made.shadows.offer(made.live, Call("bad", 0.0, {"X": np.ones((1, 1))}, 1), 0, [], 0.0)
        made.offer("good, too")
        await asyncio.sleep(0.04)
        assert {record.decision_id for record in made.records()} == {"good", "good, too"}
        assert all(hand.requests == hand.size_bytes == 0 for hand in made.shadows._loads.values())

    simulated(run)


def test_a_delay_beyond_all_measure_counts_as_the_longest(bench):
    async def run():
        made = bench(a_shadow(HeldExecutor(is_quick=True)))
        inputs = {"X": np.ones((1, 1))}
        made.shadows.offer(made.live, Call("d", 0.0, inputs, 1), 0, [inputs["X"] * 2], 60.0)
        await asyncio.sleep(0.04)
        assert made.records()[0].comparison.delay_us == -LONGEST_DELAY_S * 1e6

    simulated(run)


def test_what_waits_at_the_end_is_counted(bench):
    async def run():
        made = bench(a_shadow(HeldExecutor(is_quick=True)))
        made.offer()
        made.shadows.close()
        await asyncio.sleep(0.04)
        assert made.shadows.dropped == {("r", "s", "closing"): 1}
        assert made.records() == []

    simulated(run)


def test_an_offer_takes_a_few_microseconds(bench):
    async def run():
        made = bench(a_shadow(HeldExecutor(is_quick=True), sample_slots=0))
        call = Call("0192d3c4-6b1e-7000-8000-0123456789ab", 0.0, {"X": np.ones((1, 1))}, 1)
        started_s = time.thread_time()  # of this thread alone, however busy the machine is
        for _ in range(1000):
            made.shadows.offer(made.live, call, 0, [], 0.0)
        assert time.thread_time() - started_s < 0.05  # measured: a tenth of it

    simulated(run)
