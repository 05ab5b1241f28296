"""Attempts and fallbacks, with runtimes that raise or wait. Every attempt is a row."""

import asyncio
import threading

import numpy as np
import pytest

from gateway.errors import ArmDown, ClientGone, TooLate
from gateway.inference.sender import Sender
from router.errors import UnknownVersion
from runtimes.errors import InputRefused, ModelFailed
from tests.unit.gateway.inference.support import Bench, Fake, call


@pytest.fixture
def bench(tmp_path):
    built = Bench(tmp_path)
    yield built
    built.close()


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


def test_an_answer_has_the_times_of_its_own_record(bench, join_live, signature):
    """The time bucket of a reward must be that of its exposure, to the microsecond."""
    plain = join_live({"a": Fake(signature, 1)})
    live = join_live({"a": Fake(signature, 1, ModelFailed("no")), "b": Fake(signature, 2)}, fallback="b")
    answers = [bench.predict(each) for each in (plain, live, plain)]
    records = [record for record in bench.records() if record.outcome == "ok"]
    assert [answer.recorded for answer in answers] == [
        (record.event_us - record.latency_us, record.latency_us) for record in records
    ]
    assert bench.predict(plain, probe=True).recorded is None


def test_an_answer_whose_record_was_dropped_says_so(bench, join_live, signature, monkeypatch):
    monkeypatch.setattr(bench.writer, "append", lambda *_: False)  # as if the disk were full
    answer = bench.predict(join_live({"a": Fake(signature, 1)}))
    assert (answer.reason, answer.recorded) == ("WEIGHTED", None)


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


def test_a_fallback_that_fails_too_is_the_error(bench, join_live, signature):
    live = join_live(
        {"a": Fake(signature, 1, ModelFailed("first")), "b": Fake(signature, 2, ModelFailed("second"))}, fallback="b"
    )
    with pytest.raises(ModelFailed, match="second"):
        bench.predict(live)
    assert [row["outcome"] for row in bench.rows()] == ["error", "error"]


def test_fallbacks_are_tried_one_after_the_other_until_one_answers(bench, join_live, signature):
    arms = {name: Fake(signature, number, ModelFailed(name)) for number, name in enumerate("abc")}
    last = Fake(signature, 7)
    live = join_live({**arms, "d": last}, fallback={"a": "c", "c": "b", "b": "d"})
    answer = bench.predict(live)
    assert (answer.arm.arm.name, answer.reason, answer.propensity) == ("d", "FALLBACK", None)
    assert [(row["inference_id"], row["arm"], row["role"], row["outcome"]) for row in bench.rows()] == [
        ("d-0-0", "a", "primary", "error"),
        ("d-1-0", "c", "fallback", "error"),
        ("d-2-0", "b", "fallback", "error"),
        ("d-3-0", "d", "fallback", "ok"),
    ]
    assert [row["propensity"] for row in bench.rows()] == [1.0, None, None, None]


def test_the_first_fallback_that_answers_is_the_last_to_be_asked(bench, join_live, signature):
    spare = Fake(signature, 3)
    live = join_live(
        {"a": Fake(signature, 1, ModelFailed("no")), "b": Fake(signature, 2), "c": spare},
        fallback={"a": "b", "b": "c"},
    )
    assert bench.predict(live).arm.arm.name == "b"
    assert spare.runs == 0


def test_the_last_fallbacks_error_is_the_callers(bench, join_live, signature):
    arms = {name: Fake(signature, number, ModelFailed(name)) for number, name in enumerate("abc")}
    with pytest.raises(ModelFailed, match="c"):
        bench.predict(join_live(arms, fallback={"a": "b", "b": "c"}))
    assert [arm.runs > 0 for arm in arms.values()] == [True] * 3


ADMISSION = {"fallback": "b", "layer": {"name": "checkout", "range": ["0%", "50%"]}, "unit": "header:x-user-id"}


def test_who_is_outside_of_the_layer_gets_the_trusted_arm_without_a_propensity(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1), "b": Fake(signature, 2)}, **ADMISSION)
    answers = [bench.predict(live, unit=f"u{number}", decision_id=f"d{number}") for number in range(40)]
    said = {(answer.arm.arm.name, str(answer.reason), answer.propensity) for answer in answers}
    assert said == {("a", "STICKY", 1.0), ("b", "OTHER_LAYER", None)}
    rows = {(row["arm"], row["role"], row["reason"], row["propensity"]) for row in bench.rows()}
    assert rows == {("a", "primary", "STICKY", 1.0), ("b", "primary", "OTHER_LAYER", None)}


def test_who_is_held_out_gets_the_trusted_arm(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1), "b": Fake(signature, 2)}, fallback="b", holdout="100%")
    answer = bench.predict(live)
    assert (answer.arm.arm.name, answer.reason, answer.propensity) == ("b", "HELD_OUT", None)
    assert [row["reason"] for row in bench.rows()] == ["HELD_OUT"]


def test_who_is_not_meant_gets_the_trusted_arm(bench, join_live, signature):
    live = join_live(
        {"a": Fake(signature, 1), "b": Fake(signature, 2)}, fallback="b", target={"headers.x-country": "se"}
    )
    assert bench.predict(live, is_targeted=True).reason == "WEIGHTED"
    answer = bench.predict(live, is_targeted=False)
    assert (answer.arm.arm.name, answer.reason, answer.propensity) == ("b", "NOT_TARGETED", None)


def test_a_route_without_a_condition_is_for_everybody(bench, join_live, signature):
    assert bench.predict(join_live({"a": Fake(signature, 1)}), is_targeted=False).reason == "WEIGHTED"


SHADOW = {"shadow": [{"arm": "m:9", "placement": "replica"}]}


def test_what_an_arm_answered_is_offered_to_its_shadows(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1)}, beside={"m:9": Fake(signature, 9)}, **SHADOW)
    assert bench.predict(live, decision_id="one").propensity == 1.0
    (offered,) = bench.shadows.offered
    assert offered[:4] == ("r", "one", 0, [[1], [[1.0]]])
    assert 0 < offered.model_s < 1


@pytest.mark.parametrize(
    "asked", [{"probe": True}, {"forced_arm": "a"}, {"pinned_version": "0"}], ids=["probe", "forced", "pinned"]
)
def test_who_was_not_drawn_is_not_shadowed(bench, join_live, signature, asked):
    live = join_live({"a": Fake(signature, 1)}, beside={"m:9": Fake(signature, 9)}, **SHADOW)
    bench.predict(live, **asked)
    assert bench.shadows.offered == []


def test_who_does_not_take_part_is_not_shadowed(bench, join_live, signature):
    arms = {"a": Fake(signature, 1), "b": Fake(signature, 2)}
    live = join_live(arms, beside={"m:9": Fake(signature, 9)}, fallback="b", holdout="100%", **SHADOW)
    assert bench.predict(live).reason == "HELD_OUT"
    assert bench.shadows.offered == []


def test_a_fallbacks_answer_is_not_shadowed_nor_is_an_error(bench, join_live, signature):
    arms = {"a": Fake(signature, 1, ModelFailed("no")), "b": Fake(signature, 2)}
    live = join_live(arms, beside={"m:9": Fake(signature, 9)}, fallback="b", **SHADOW)
    assert bench.predict(live).reason == "FALLBACK"
    arms["b"].raises = ModelFailed("neither")
    with pytest.raises(ModelFailed):
        bench.predict(live)
    assert bench.shadows.offered == []


def test_a_route_without_shadows_offers_nothing(bench, join_live, signature):
    bench.predict(join_live({"a": Fake(signature, 1)}))
    assert bench.shadows.offered == []


def test_a_fallback_that_answers_what_the_arm_refused_says_whose_fault_it_was(bench, join_live, signature):
    bench.predict(join_live({"a": Picky(signature, 1), "b": Fake(signature, 2)}, fallback="b"), value=13)
    assert [record.error_code for record in bench.records()] == ["InputRefused", ""]
    assert [record.blamed and record.blamed[0] for record in bench.records()] == [None, "a"]


def test_an_arm_that_failed_for_all_to_see_is_blamed_in_its_own_record(bench, join_live, signature):
    bench.predict(join_live({"a": Fake(signature, 1, ModelFailed("broken")), "b": Fake(signature, 2)}, fallback="b"))
    assert [record.blamed for record in bench.records()] == [None, None]


def test_a_deadline_that_only_the_caller_has_is_told_apart(bench, join_live, signature):
    with pytest.raises(TooLate):
        bench.predict(join_live({"a": Fake(signature, 1)}), within_s=0.0)
    assert [record.error_code for record in bench.records()] == ["CallersDeadline"]


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
    assert [row["role"] for row in bench.rows()] == ["primary"]


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


def test_quick_models_run_on_the_loop_and_slow_ones_in_threads(bench, join_live, signature):
    quick, slow = Fake(signature, 1), Fake(signature, 1)
    bench.predict(join_live({"a": quick}, mean_s=0.005, inline_below_s=0.01))
    bench.predict(join_live({"a": slow}, mean_s=0.05, inline_below_s=0.01))
    assert quick.ran_in == [threading.current_thread()]
    assert slow.ran_in[0].name.startswith("model")


def test_predictions_that_arrive_in_one_turn_are_one_run(bench, join_live, signature):
    arm = Fake(signature, 1)
    live = join_live({"a": arm}, is_batching=True)

    async def many() -> list:
        return await asyncio.gather(*(bench.ask(live, decision_id=f"d{i}") for i in range(16)))

    answers = bench.run(many())
    assert arm.runs == 1
    assert [answer.tensors[0].tolist() for answer in answers] == [[1]] * 16
    assert [row["batch_size"] for row in bench.rows()] == [1] * 16


def test_predictions_of_a_route_that_waits_for_company_are_one_run(bench, join_live, signature):
    arm = Fake(signature, 1)
    live = join_live({"a": arm}, is_batching=True, batch_wait="20ms")

    async def many() -> None:
        first = asyncio.create_task(bench.ask(live))
        for _ in range(5):  # turns of the loop
            await asyncio.sleep(0)
        assert arm.runs == 0
        await asyncio.gather(first, bench.ask(live))

    bench.run(many())
    assert arm.runs == 1


class Picky(Fake):
    """Raises on the value 13, as a model may for an unknown index."""

    def run(self, inputs, outputs):
        """See `runtimes.runtime.Runtime.run`."""
        if (inputs["X"] == 13).any():
            self.runs += 1
            raise ModelFailed("13")
        return super().run(inputs, outputs)


@pytest.mark.parametrize("poisoned", [{40}, {0, 63}, set(range(64))], ids=["one", "two", "all"])
def test_of_64_concurrent_requests_only_the_poisoned_ones_are_refused(bench, join_live, signature, poisoned):
    arm = Picky(signature, 1)
    live = join_live({"a": arm}, is_batching=True)

    async def many() -> list:
        asked = (bench.ask(live, value=13 if i in poisoned else 1, decision_id=f"d{i}") for i in range(64))
        return await asyncio.gather(*asked, return_exceptions=True)

    outcomes = bench.run(many())
    assert {i for i, outcome in enumerate(outcomes) if type(outcome) is InputRefused} == poisoned
    assert all(outcomes[i].tensors[0].tolist() == [1] for i in range(64) if i not in poisoned)
    assert {row["decision_id"] for row in bench.rows() if row["status"] == 422} == {f"d{i}" for i in poisoned}
    assert arm.runs <= 1 + len(poisoned) * (2 * 6 + 1)


def test_a_model_that_always_raises_fails_for_each_of_a_batch(bench, join_live, signature):
    arm = Fake(signature, 1, ModelFailed("always"))
    live = join_live({"a": arm}, is_batching=True)

    async def many() -> list:
        return await asyncio.gather(*(bench.ask(live) for _ in range(64)), return_exceptions=True)

    assert {(type(outcome), str(outcome)) for outcome in bench.run(many())} == {(ModelFailed, "always")}
    assert {row["status"] for row in bench.rows()} == {500}
    assert arm.runs == 127 + 64


def test_a_runtime_that_breaks_its_protocol_is_an_arm_that_failed(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, RuntimeError("not wrapped"))})
    with pytest.raises(ModelFailed, match="not wrapped"):
        bench.predict(live)
    assert [(row["outcome"], row["status"]) for row in bench.rows()] == [("error", 500)]


def test_a_client_that_left_while_the_model_ran_is_recorded_as_gone(bench, join_live, signature):
    arm = Fake(signature, 1, held=True)
    live = join_live({"a": arm, "b": Fake(signature, 2)}, mean_s=1.0, fallback="b")

    async def leave() -> None:
        task = asyncio.create_task(bench.ask(live))
        await asyncio.to_thread(arm.started.wait, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        arm.gate.set()

    bench.run(leave())
    assert [(row["outcome"], row["status"], row["error_code"]) for row in bench.rows()] == [
        ("error", 499, ClientGone.__name__)
    ]


def test_a_client_that_left_before_the_model_was_free_never_reaches_it(bench, join_live, signature):
    arm = Fake(signature, 1, held=True)
    live = join_live({"a": arm}, mean_s=1.0, threads=1)

    async def leave() -> None:
        first = asyncio.create_task(bench.ask(live, decision_id="first"))
        await asyncio.to_thread(arm.started.wait, 2)
        second = asyncio.create_task(bench.ask(live, decision_id="second"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        arm.gate.set()
        await first
        await bench.ask(live, decision_id="third")

    bench.run(leave())
    assert arm.runs == 2
    assert {row["decision_id"]: row["status"] for row in bench.rows()} == {"first": 200, "second": 499, "third": 200}


def test_a_row_has_its_sender_and_how_long_it_waited(bench, join_live, signature):
    sender = Sender("k1", "v2", (("team", "risk"),))
    bench.predict(join_live({"a": Fake(signature, 1)}), sender=sender)
    bench.predict(join_live({"a": Fake(signature, 1)}))
    named, unnamed = bench.rows()
    assert (named["caller"], named["door"], dict(named["tags"])) == ("k1", "v2", {"team": "risk"})
    assert 0 <= named["queue_ms"] <= named["latency_ms"]
    assert (unnamed["caller"], unnamed["door"], unnamed["tags"], unnamed["cached"]) == (None, None, [], False)


def test_a_request_whose_arm_is_down_has_waited_for_nothing(bench, join_live, signature):
    live = join_live({"a": Fake(signature, 1, ModelFailed("no"))})
    for _ in range(6):
        with pytest.raises((ModelFailed, ArmDown)):
            bench.predict(live)
    rows = bench.rows()
    assert [row["error_code"] for row in rows] == ["ModelFailed"] * 5 + ["ArmDown"]
    assert [row["queue_ms"] is None for row in rows] == [False] * 5 + [True]
