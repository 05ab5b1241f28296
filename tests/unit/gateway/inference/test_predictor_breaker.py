"""An arm that fails repeatedly gets no requests for a while. Failures of other arms and of callers do not count."""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gateway.errors import ArmDown, TooLate
from gateway.execution.breaker import FAILURES_IN_A_ROW, FIRST_PAUSE_S, BreakerState
from runtimes.errors import InputRefused, ModelFailed
from tests.unit.gateway.inference.support import Bench, Fake, SimulatedBench


@pytest.fixture
def bench(tmp_path):
    built = Bench(tmp_path)
    yield built
    built.close()


@pytest.fixture
def simulated(tmp_path, monkeypatch):
    built = SimulatedBench(tmp_path, monkeypatch)
    yield built
    built.close()


@pytest.fixture
def later(monkeypatch):
    """Move the clock that breakers read."""
    passed = [0.0]
    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + passed[0], time_ns=time.time_ns)
    monkeypatch.setattr("gateway.inference.predictor.time", clock)

    def let_pass(seconds: float) -> None:
        passed[0] += seconds

    return let_pass


def breaker(live, arm: int = 0):
    return live.routes["r"].arms[arm].lane.breaker


def fail(bench, live, times: int, error: type[Exception] = ModelFailed, **more) -> None:
    for _ in range(times):
        with pytest.raises(error):
            bench.predict(live, **more)


def test_an_arm_that_failed_five_times_in_a_row_is_not_asked(bench, join_live, signature):
    arm = Fake(signature, 1, ModelFailed("no"))
    live = join_live({"a": arm})
    fail(bench, live, FAILURES_IN_A_ROW)
    runs = arm.runs
    with pytest.raises(ArmDown, match="Arm a has failed again and again and is left alone"):
        bench.predict(live)
    assert arm.runs == runs
    last = bench.rows()[-1]
    assert (last["outcome"], last["status"], last["error_code"]) == ("error", 503, "ArmDown")


def test_an_answer_in_between_starts_the_count_anew(bench, join_live, signature):
    arm = Fake(signature, 1)
    live = join_live({"a": arm})
    for _ in range(3):
        arm.raises = ModelFailed("no")
        fail(bench, live, FAILURES_IN_A_ROW - 1)
        arm.raises = None
        bench.predict(live)
    assert breaker(live).state is BreakerState.CLOSED


def test_while_an_arm_is_down_its_fallback_answers(bench, join_live, signature):
    arm = Fake(signature, 1, ModelFailed("no"))
    live = join_live({"a": arm, "b": Fake(signature, 2)}, fallback="b")
    for _ in range(FAILURES_IN_A_ROW):
        assert bench.predict(live).arm.arm.name == "b"
    runs = arm.runs
    for _ in range(3):
        assert bench.predict(live).arm.arm.name == "b"
    assert arm.runs == runs
    assert (breaker(live, 0).state, breaker(live, 1).state) == (BreakerState.OPEN, BreakerState.CLOSED)
    assert [row["error_code"] for row in bench.rows()[-2:]] == ["ArmDown", ""]


def test_an_arm_comes_back_after_a_trial(bench, join_live, signature, later):
    arm = Fake(signature, 1, ModelFailed("no"))
    live = join_live({"a": arm})
    fail(bench, live, FAILURES_IN_A_ROW)
    later(FIRST_PAUSE_S)
    fail(bench, live, 1)  # the trial
    later(FIRST_PAUSE_S)
    fail(bench, live, 1, ArmDown)  # for twice as long now
    arm.raises = None
    later(FIRST_PAUSE_S)
    assert bench.predict(live).reason == "WEIGHTED"
    assert breaker(live).state is BreakerState.CLOSED


def test_a_client_that_leaves_during_the_trial_leaves_it_to_another(bench, join_live, signature, later):
    arm = Fake(signature, 1, ModelFailed("no"))
    live = join_live({"a": arm}, mean_s=1.0)
    fail(bench, live, FAILURES_IN_A_ROW)
    later(FIRST_PAUSE_S)

    async def leave() -> None:
        task = asyncio.create_task(bench.ask(live))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    bench.run(leave())
    fail(bench, live, 1, ArmDown)
    later(FIRST_PAUSE_S)
    arm.raises = None
    assert bench.predict(live).reason == "WEIGHTED"


def test_values_that_a_model_refuses_are_the_callers_fault(bench, join_live, signature):
    class Picky(Fake):
        """Raises on anything but zeros."""

        def run(self, inputs, outputs):
            if inputs["X"].any():
                raise ModelFailed("not zero")
            return super().run(inputs, outputs)

    live = join_live({"a": Picky(signature, 1)})
    fail(bench, live, 2 * FAILURES_IN_A_ROW, InputRefused)
    assert breaker(live).state is BreakerState.CLOSED
    assert {(row["status"], row["error_code"]) for row in bench.rows()} == {(422, "InputRefused")}


@pytest.mark.parametrize("spec", [{}, {"deadline": "1s"}])
def test_a_callers_own_tiny_deadline_does_not_open_it(simulated, join_live, signature, spec):
    arm = Fake(signature, 1, held=True)
    live = join_live({"a": arm}, mean_s=0.0015, inline_below_s=0.001, **spec)
    fail(simulated, live, 2 * FAILURES_IN_A_ROW, TooLate, within_s=0.004)
    arm.gate.set()
    assert breaker(live).state is BreakerState.CLOSED


@pytest.mark.parametrize("fallback", [{}, {"fallback": "b"}], ids=["alone", "with a fallback"])
@pytest.mark.parametrize("deadline", ["8ms", "30ms"])
def test_an_arm_that_lets_the_routes_deadline_pass_again_and_again_is_down(
    simulated, join_live, signature, fallback, deadline
):
    arm = Fake(signature, 1, held=True)
    live = join_live(
        {"a": arm, "b": Fake(signature, 2)}, mean_s=0.0002, inline_below_s=0.0001, deadline=deadline, **fallback
    )
    for _ in range(FAILURES_IN_A_ROW):
        with contextlib.suppress(TooLate):
            simulated.predict(live)
    arm.gate.set()
    assert breaker(live).state is BreakerState.OPEN


def test_a_whole_batch_of_failures_counts_as_many(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, ModelFailed("no"))}, is_batching=True)

    async def many() -> None:
        await asyncio.gather(*(bench.ask(live) for _ in range(FAILURES_IN_A_ROW)), return_exceptions=True)

    bench.run(many())
    assert breaker(live).state is BreakerState.OPEN


def test_the_replicas_own_probe_neither_opens_it_nor_is_its_trial(bench, join_live, signature, later):
    arm = Fake(signature, 1, ModelFailed("no"))
    live = join_live({"a": arm})
    fail(bench, live, 2 * FAILURES_IN_A_ROW, probe=True)
    assert breaker(live).state is BreakerState.CLOSED
    fail(bench, live, FAILURES_IN_A_ROW)
    later(FIRST_PAUSE_S)
    arm.raises = None
    fail(bench, live, 1, ArmDown, probe=True)
    assert breaker(live).state is BreakerState.OPEN
    assert bench.predict(live).reason == "WEIGHTED"
    fail_between = FAILURES_IN_A_ROW - 1
    arm.raises = ModelFailed("no")
    fail(bench, live, fail_between)
    arm.raises = None
    bench.predict(live, probe=True)  # a probe neither opens nor closes the breaker
    arm.raises = ModelFailed("no")
    fail(bench, live, 1)
    assert breaker(live).state is BreakerState.OPEN
    assert len(bench.rows()) == 2 * FAILURES_IN_A_ROW + 1  # a probe is not in the log


def test_a_trial_that_is_not_started_is_left_to_the_next(bench, join_live, signature, later):
    arm = Fake(signature, 1, ModelFailed("no"))
    live = join_live({"a": arm}, mean_s=0.001)
    fail(bench, live, FAILURES_IN_A_ROW)
    later(FIRST_PAUSE_S)
    fail(bench, live, 3, TooLate, within_s=-1.0)
    arm.raises = None
    assert bench.predict(live).reason == "WEIGHTED"


def test_a_trial_whose_values_are_refused_shows_that_the_arm_works(bench, join_live, signature, later):
    class Picky(Fake):
        """Raises on anything but zeros, or always."""

        broken = True

        def run(self, inputs, outputs):
            if self.broken or inputs["X"].any():
                raise ModelFailed("not zero")
            return super().run(inputs, outputs)

    arm = Picky(signature, 1)
    live = join_live({"a": arm})
    fail(bench, live, FAILURES_IN_A_ROW)
    arm.broken = False
    later(FIRST_PAUSE_S)
    fail(bench, live, 2, InputRefused)
    assert breaker(live).state is BreakerState.CLOSED


def codes(bench) -> list[str]:
    return [record.error_code for record in bench.records()]


def test_what_other_routes_requests_broke_is_no_error_of_this_routes_arm(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, ModelFailed("no"))})
    for _ in range(FAILURES_IN_A_ROW):
        breaker(live).failed(time.perf_counter(), "another")
    fail(bench, live, 2, ArmDown)
    assert codes(bench) == ["NotStarted", "NotStarted"]


def test_what_this_routes_own_requests_broke_is_an_error_of_its_arm(bench, join_live, signature, later):
    live = join_live({"a": Fake(signature, 1, ModelFailed("no"))})
    for _ in range(FAILURES_IN_A_ROW):
        breaker(live).failed(time.perf_counter(), "another")
    later(FIRST_PAUSE_S + 1)
    fail(bench, live, 1)  # the test request
    fail(bench, live, 1, ArmDown)
    assert codes(bench) == ["ModelFailed", "ArmDown"]


def test_a_request_that_an_estimate_refused_is_recorded_as_not_started(bench, join_live, signature):
    arm = Fake(signature, 1)
    live = join_live({"a": arm})
    for _ in range(20):
        live.routes["r"].arms[0].lane.paces.of("r").observe(1, 3.0)
    before = arm.runs
    with pytest.raises(TooLate):
        bench.predict(live, within_s=0.2)
    assert (codes(bench), arm.runs) == (["NotStarted"], before)


@pytest.mark.parametrize(
    ("ahead", "recorded"),
    [("another", ["NotStarted"] * (FAILURES_IN_A_ROW + 1)), ("r", ["TooLate"] * FAILURES_IN_A_ROW + ["ArmDown"])],
)
def test_requests_that_never_run_behind_a_hanging_one_blame_the_route_that_sent_it(
    simulated, join_live, signature, ahead, recorded
):
    arm = Fake(signature, 1, held=True)
    live = join_live({"a": arm}, mean_s=0.0002, inline_below_s=0.0001, threads=1, deadline="30ms")

    async def ask() -> None:
        live.routes["r"].arms[0].lane.submit({"X": np.ones((1, 2), "f4")}, 1, route=ahead)
        await asyncio.sleep(0)
        for number in range(FAILURES_IN_A_ROW + 1):
            with pytest.raises((TooLate, ArmDown)):
                await simulated.ask(live, decision_id=f"d{number}")

    simulated.run(ask())
    arm.gate.set()
    assert (codes(simulated), arm.runs) == (recorded, 1)
