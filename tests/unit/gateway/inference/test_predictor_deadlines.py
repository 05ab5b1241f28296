"""Deadlines of predictions, in simulated time: a model that waits runs in a thread while time passes."""

import asyncio
import time

import pytest

from gateway.errors import TooLate
from gateway.execution.latency import LatencyModel
from gateway.execution.paces import MOST_REFUSED
from tests.unit.gateway.inference.support import Fake, SimulatedBench


@pytest.fixture
def bench(tmp_path, monkeypatch):
    built = SimulatedBench(tmp_path, monkeypatch)
    yield built
    built.close()


@pytest.fixture
def held(signature):
    """Return a model that does not return before the test ends."""
    arm = Fake(signature, 1, held=True)
    yield arm
    arm.gate.set()


def took_ms(bench, live, **more) -> float:
    """Return after how long the caller gets the error that it is too late."""
    began_s = time.perf_counter()
    with pytest.raises(TooLate):
        bench.predict(live, started_s=began_s, **more)
    return (time.perf_counter() - began_s) * 1000


@pytest.mark.parametrize("within_ms", [10, 40])
def test_a_model_in_a_thread_that_is_too_slow_is_answered_for_on_time(bench, join_live, held, within_ms):
    live = join_live({"a": held}, mean_s=0.0002, inline_below_s=0.0001, deadline=f"{within_ms}ms", threads=3)
    assert took_ms(bench, live) == pytest.approx(within_ms)
    assert held.runs == 1
    assert {(row["outcome"], row["status"], row["error_code"]) for row in bench.rows()} == {("timeout", 504, "TooLate")}


@pytest.mark.parametrize(
    ("route_ms", "caller_ms", "counts_ms"), [(None, 15, 15), (60, 15, 15), (15, 60, 15), (15, None, 15)]
)
def test_the_earlier_of_the_routes_deadline_and_the_callers_counts(
    bench, join_live, held, route_ms, caller_ms, counts_ms
):
    spec = {} if route_ms is None else {"deadline": f"{route_ms}ms"}
    live = join_live({"a": held}, mean_s=0.0002, inline_below_s=0.0001, **spec)
    within_s = None if caller_ms is None else caller_ms / 1000
    assert took_ms(bench, live, within_s=within_s) == pytest.approx(counts_ms)


def test_the_fallback_answers_within_the_deadline_of_an_arm_that_does_not(bench, join_live, signature, held):
    live = join_live(
        {"a": held, "b": Fake(signature, 2)}, mean_s=0.025, inline_below_s=0.001, fallback="b", deadline="400ms"
    )
    began_s = time.perf_counter()
    answer = bench.predict(live)
    assert time.perf_counter() - began_s < 0.4
    assert (answer.arm.arm.name, answer.reason) == ("b", "FALLBACK")
    first, second = bench.rows()
    assert (first["outcome"], first["status"], first["error_code"]) == ("timeout", 504, "TooLate")
    assert (second["outcome"], second["role"]) == ("ok", "fallback")
    assert first["latency_ms"] == pytest.approx(300, abs=1)  # the fallback keeps the time of four runs
    assert second["latency_ms"] < 400


def test_of_several_fallbacks_each_is_left_some_time(bench, join_live, signature, held):
    other = Fake(signature, 2, held=True)
    live = join_live(
        {"a": held, "b": other, "c": Fake(signature, 3)},
        mean_s=0.025,
        inline_below_s=0.001,
        fallback={"a": "b", "b": "c"},
        deadline="600ms",
    )
    answer = bench.predict(live)
    other.gate.set()
    assert (answer.arm.arm.name, answer.reason) == ("c", "FALLBACK")
    assert (held.runs, other.runs) == (1, 1)
    assert [(row["outcome"], row["role"]) for row in bench.rows()] == [
        ("timeout", "primary"),
        ("timeout", "fallback"),
        ("ok", "fallback"),
    ]
    first, second, third = (row["latency_ms"] for row in bench.rows())
    assert first == pytest.approx(400, abs=1)  # each of the others keeps the time of four runs
    assert second == pytest.approx(500, abs=1)
    assert third < 600


def test_however_many_fallbacks_there_are_a_primary_has_half_of_the_time(bench, join_live, signature, held):
    spares = {name: Fake(signature, 2) for name in "bcdefgh"}
    chain = dict(zip("abcdefg", "bcdefgh", strict=True))
    live = join_live({"a": held, **spares}, mean_s=0.025, inline_below_s=0.001, fallback=chain, deadline="400ms")
    assert bench.predict(live).arm.arm.name == "b"
    assert bench.rows()[0]["latency_ms"] == pytest.approx(200, abs=1)


def test_before_a_model_that_hangs_neither_threads_nor_runs_pile_up(bench, join_live, held):
    live = join_live({"a": held}, mean_s=0.0002, inline_below_s=0.0001, threads=2)

    async def many() -> list:
        asked = []
        for number in range(40):
            asked.append(asyncio.ensure_future(bench.ask(live, decision_id=f"d{number}", within_s=0.01)))
            await asyncio.sleep(0.001)
        return await asyncio.gather(*asked, return_exceptions=True)

    outcomes = bench.run(many())
    assert {type(outcome) for outcome in outcomes} == {TooLate}
    assert held.runs == 2
    assert len(set(held.ran_in)) == 2


def test_a_deadline_that_has_passed_starts_no_model(bench, join_live, signature):
    arm = Fake(signature, 1)
    with pytest.raises(TooLate, match="less time left than the model takes; it was not started"):
        bench.predict(join_live({"a": arm}, deadline="1ms"), started_s=time.perf_counter() - 1)
    assert arm.runs == 0
    assert [row["outcome"] for row in bench.rows()] == ["timeout"]


def test_an_arm_that_is_known_to_be_too_slow_leaves_the_time_to_its_fallback(bench, join_live, signature):
    slow, spare = Fake(signature, 1), Fake(signature, 2)
    live = join_live({"a": slow, "b": spare}, mean_s=1.0, fallback="b", deadline="100ms")
    live.routes["r"].arms[1].lane.executor.latency = LatencyModel(0.001)
    assert bench.predict(live).arm.arm.name == "b"
    assert (slow.runs, spare.runs) == (0, 1)


def test_an_arm_that_was_slow_once_recovers(bench, join_live, signature):
    arm = Fake(signature, 1)
    live = join_live({"a": arm}, mean_s=0.5, deadline="250ms")
    refused = 0
    while not arm.runs:
        try:
            bench.predict(live)
        except TooLate:
            refused += 1
        assert refused < 100
    assert refused == MOST_REFUSED
    assert bench.predict(live).reason == "WEIGHTED"
