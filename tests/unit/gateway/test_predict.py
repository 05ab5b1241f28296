"""Attempts, fallbacks and deadlines, with runtimes that raise or dawdle; every attempt is a row."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from gateway.errors import TooLate
from gateway.executor import Executor
from gateway.metrics import Metrics
from gateway.predict import Answer, Call, Predictor
from inference_log.rows import partition_rows
from inference_log.segment import read_segment
from inference_log.writer import LogWriter
from router.errors import UnknownVersion
from runtimes.errors import ModelFailed


class Fake:
    """A runtime that answers its own number; it may raise, wait, or answer something else."""

    def __init__(self, signature, number: int, raises: BaseException | None = None, sleeps_s: float = 0.0) -> None:
        self.signature = signature
        self.number, self.raises, self.sleeps_s, self.runs = number, raises, sleeps_s, 0
        self.started = threading.Event()

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:  # noqa: ARG002  # the Protocol's
        self.runs += 1
        self.started.set()
        time.sleep(self.sleeps_s)
        if self.raises is not None:
            raise self.raises
        rows = len(inputs["X"])
        return [np.full(rows, self.number), np.full((rows, 1), self.number, np.float32)]


class Bench:
    """A predictor with a log of its own."""

    def __init__(self, folder, inline_below_s: float = 0.01) -> None:
        self.executor = Executor(2, inline_below_s)
        self.writer = LogWriter(folder, "w")
        self.metrics = Metrics(folder / "metrics", 0)
        self.predictor = Predictor(self.executor, self.writer, self.metrics)

    def predict(self, live, **more: Any) -> Answer:
        return asyncio.run(self.predictor.predict(live.routes["r"], call(**more)))

    def rows(self) -> list[dict[str, Any]]:
        path = self.writer.active_path
        segment = read_segment(path.read_bytes()) if path else None
        rows = [row for table in partition_rows(segment).values() for row in table.to_pylist()] if segment else []
        return sorted(rows, key=lambda row: row["writer_seq"])


def call(decision_id: str = "d", **more: Any) -> Call:
    return Call(decision_id, time.perf_counter(), {"X": np.array([[1, 2]], np.float32)}, 1, **more)


@pytest.fixture
def bench(tmp_path):
    built = Bench(tmp_path)
    yield built
    built.executor.close()


def test_an_arm_answers_and_is_recorded(bench, join_live, signature):
    answer = bench.predict(join_live({"a": Fake(signature, 1)}), unit="u", unit_hash="h", request_id="q", trace_id="t")
    assert (answer.arm.arm.name, answer.reason, answer.propensity) == ("a", "STICKY", 1.0)
    (row,) = bench.rows()
    assert (row["outcome"], row["status"], row["role"], row["arm"], row["reason"]) == (
        "ok",
        200,
        "primary",
        "a",
        "STICKY",
    )
    assert (row["unit_hash"], row["request_id"], row["trace_id"]) == ("h", "q", "t")
    assert (row["predicted_label"], row["prediction"]) == ("1", [1.0])
    assert dict(row["features_num"]) == {"X_0": 1.0, "X_1": 2.0}


def test_an_arm_that_raises_is_followed_by_the_fallback(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, ModelFailed("no")), "b": Fake(signature, 2)}, fallback="b")
    answer = bench.predict(live)
    assert (answer.arm.arm.name, answer.reason, answer.propensity) == ("b", "FALLBACK", None)
    first, second = bench.rows()
    assert (first["inference_id"], first["outcome"], first["status"], first["error_code"]) == (
        "d-0-0", "error", 500, "ModelFailed",
    )  # fmt: skip
    assert (first["role"], first["propensity"], first["prediction"] or []) == ("primary", 1.0, [])
    assert (second["inference_id"], second["outcome"], second["role"], second["reason"]) == (
        "d-1-0", "ok", "fallback", "FALLBACK",
    )  # fmt: skip
    assert (second["propensity"], second["predicted_label"]) == (None, "2")


def test_an_arm_that_is_too_slow_is_followed_by_the_fallback(bench, join_live, signature):
    slow = Fake(signature, 1, sleeps_s=0.6)
    live = join_live({"a": slow, "b": Fake(signature, 2)}, mean_s=0.05, fallback="b", deadline="400ms")
    answer = bench.predict(live)
    assert answer.arm.arm.name == "b"
    first, second = bench.rows()
    assert (first["outcome"], first["status"], first["error_code"]) == ("timeout", 504, "TooLate")
    assert (second["outcome"], second["role"]) == ("ok", "fallback")
    assert second["latency_ms"] < 400


def test_without_a_fallback_a_slow_arm_is_an_error(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, sleeps_s=0.1)}, mean_s=0.02, deadline="20ms")
    with pytest.raises(TooLate, match="did not answer within"):
        bench.predict(live)
    assert [row["outcome"] for row in bench.rows()] == ["timeout"]


def test_a_deadline_that_has_passed_starts_no_model(bench, join_live, signature):
    arm = Fake(signature, 1)
    live = join_live({"a": arm}, deadline="1ms")
    late = Call("d", time.perf_counter() - 1, {"X": np.zeros((1, 2), np.float32)}, 1)
    with pytest.raises(TooLate, match="before the model could start"):
        asyncio.run(bench.predictor.predict(live.routes["r"], late))
    assert arm.runs == 0


def test_a_fallback_that_fails_too_is_the_error(bench, join_live, signature):
    live = join_live(
        {"a": Fake(signature, 1, ModelFailed("first")), "b": Fake(signature, 2, ModelFailed("second"))}, fallback="b"
    )
    with pytest.raises(ModelFailed, match="second"):
        bench.predict(live)
    assert [row["outcome"] for row in bench.rows()] == ["error", "error"]


@pytest.mark.parametrize("asked", [{"forced_arm": "a"}, {"pinned_version": "0"}])
def test_who_asks_for_one_arm_sees_it_fail(bench, join_live, signature, asked):
    spare = Fake(signature, 2)
    live = join_live({"a": Fake(signature, 1, ModelFailed("no")), "b": spare}, fallback="b")
    with pytest.raises(ModelFailed):
        bench.predict(live, **asked)
    assert spare.runs == 0
    assert [row["propensity"] for row in bench.rows()] == [None]


def test_a_fallback_is_not_tried_after_itself(bench, join_live, signature):
    arm = Fake(signature, 1, ModelFailed("no"))
    with pytest.raises(ModelFailed):
        bench.predict(join_live({"a": arm}, fallback="a"))
    assert arm.runs == 1


def test_an_answer_that_breaks_the_signature_is_a_failure(bench, join_live, signature):
    liar = Fake(signature, 1)
    liar.run = lambda *_: [np.zeros(1), np.zeros((1, 1), np.float32)]  # type: ignore[method-assign]
    answer = bench.predict(join_live({"a": liar, "b": Fake(signature, 2)}, fallback="b"))
    assert answer.arm.arm.name == "b"
    assert bench.rows()[0]["error_code"] == "ModelFailed"


def test_an_unknown_arm_is_refused_before_anything_runs(bench, join_live, signature):
    arm = Fake(signature, 1)
    with pytest.raises(UnknownVersion):
        bench.predict(join_live({"a": arm}), forced_arm="z")
    assert (arm.runs, bench.rows()) == (0, [])


def test_a_probe_is_answered_and_not_recorded(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1)})
    assert bench.predict(live, probe=True).reason == "WEIGHTED"
    bench.predictor.reject(live.routes["r"], call(probe=True), ValueError())
    assert bench.rows() == []


def test_quick_models_run_on_the_loop_and_slow_ones_in_threads(tmp_path, join_live, signature):
    bench, seen = Bench(tmp_path, inline_below_s=0.01), []
    arm = Fake(signature, 1)
    run = arm.run
    arm.run = lambda *given: (seen.append(threading.current_thread()), run(*given))[1]  # type: ignore[method-assign]
    bench.predict(join_live({"a": arm}, mean_s=0.005))
    bench.predict(join_live({"a": arm}, mean_s=0.5))
    bench.executor.close()
    assert seen[0] is threading.current_thread()
    assert seen[1].name.startswith("model")


def test_a_model_that_becomes_slow_leaves_the_loop(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, sleeps_s=0.12)}, mean_s=0.0)
    assert bench.predictor.is_quick(live.routes["r"])
    bench.predict(live)
    assert bench.predictor.is_quick(live.routes["r"])  # one slow run may be the machine's hiccup
    bench.predict(live)
    assert not bench.predictor.is_quick(live.routes["r"])


def test_a_runtime_that_breaks_its_protocol_is_not_recorded_as_ok(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, RuntimeError("not wrapped"))})
    with pytest.raises(RuntimeError):
        bench.predict(live)
    assert [(row["outcome"], row["status"]) for row in bench.rows()] == [("error", 500)]


def test_a_cancelled_attempt_is_not_recorded_as_ok(bench, join_live, signature):
    slow = Fake(signature, 1, sleeps_s=0.05)
    live = join_live({"a": slow}, mean_s=1.0)

    async def cancel() -> None:
        task = asyncio.create_task(bench.predictor.predict(live.routes["r"], call()))
        await asyncio.to_thread(slow.started.wait, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert [row["outcome"] for row in bench.rows()] != ["ok"]
