"""The sums over records: which records count, and for which sum."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from inference_log.record import Comparison, Context, Record
from inference_log.request_slots import packer
from inference_log.tally import tally
from router.evidence.sums import ALL_UNITS, SumKey, group_of
from router.plan import Reason

NOON_S = 1_767_268_800


def named(contexts: Sequence[Context], records: Sequence[Record]) -> dict[str, int]:
    """Return the sums of one arm and one bucket, by name."""
    tallied = tally({context.number: context for context in contexts}, records)
    keys = [key for sums in tallied.values() for key in sums]
    assert len({key._replace(name="") for key in keys}) <= 1
    return {key.name: value for sums in tallied.values() for key, value in sums.items()}


def test_a_request_counts_for_its_arm_version_and_bucket(make_context, make_record):
    context = make_context(policy_version=7, model_version="2")
    records = [
        make_record(event_us=NOON_S * 1_000_000 + arrived_us + 500_000, latency_us=500_000)
        for arrived_us in (0, 9_999_999, 10_000_000, -1)
    ]
    key = SumKey(NOON_S, 7, "stable", "2", "", "requests")
    assert tally({0: context}, records) == {
        "cancer": {key: 2, key._replace(bucket_s=NOON_S + 10): 1, key._replace(bucket_s=NOON_S - 10): 1}
    }


def test_contexts_that_differ_in_nothing_that_counts_share_their_sums(make_context, make_record):
    contexts = {0: make_context(snapshot_hash="a"), 1: make_context(snapshot_hash="b"), 2: make_context(route="other")}
    tallied = tally(contexts, [make_record(context=number) for number in (0, 1, 2)])
    assert {route: list(sums.values()) for route, sums in tallied.items()} == {"cancer": [2], "other": [1]}


@pytest.mark.parametrize("reason", list(Reason))
def test_only_what_was_drawn_counts(make_context, make_record, reason):
    drawn = reason in (Reason.STICKY, Reason.WEIGHTED)
    assert named([make_context()], [make_record(reason=reason.value)]) == ({"requests": 1} if drawn else {})


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 1},
        {"outcome": "rejected", "status": 400, "error_code": "BadRequest"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_what_says_nothing_about_the_arm_does_not_count(make_context, make_record, changes):
    assert named([make_context(slower_than_us=(0,))], [make_record(**changes)]) == {}


@pytest.mark.parametrize("code", ["ClientGone", "CancelledError"])
def test_a_caller_who_left_is_counted_apart_and_took_longer_than_it_waited(make_context, make_record, code):
    gone = {"outcome": "error", "status": 499, "error_code": code, "outputs": ()}
    records = [make_record(**gone, latency_us=latency_us) for latency_us in (10_000, 50_000, 50_001, 1_000_000)]
    context = make_context(slower_than_us=(50_000, 2_000_000))
    assert named([context], records) == {"left": 4, "slow:50000": 2}
    assert named([context], [make_record(), *records]) == {"requests": 1, "left": 4, "slow:50000": 2}
    assert named([context], [make_record(**gone, reason="FORCED"), make_record(**gone, attempt=1)]) == {}


def test_what_a_fallback_answers_does_not_count(make_context, make_record):
    assert tally({0: make_context(role="fallback")}, [make_record(attempt=0)]) == {}


@pytest.mark.parametrize(("outcome", "errors"), [("ok", 0), ("error", 1), ("timeout", 1)])
def test_errors_and_timeouts_are_errors(make_context, make_record, outcome, errors):
    outputs = make_record().outputs if outcome == "ok" else ()
    record = make_record(outcome=outcome, outputs=[np.frombuffer(each, "u1") for each in outputs])
    assert named([make_context()], [record, record]) == {"requests": 2, **({"errors": 2} if errors else {})}


def test_slow_is_above_a_threshold_errors_included(make_context, make_record):
    records = [make_record(latency_us=latency_us) for latency_us in (999, 1000, 1001, 5001)]
    records.append(make_record(latency_us=9000, outcome="timeout", outputs=()))
    assert named([make_context(slower_than_us=(1000, 5000, 10_000))], records) == {
        "requests": 5,
        "errors": 1,
        "slow:1000": 3,
        "slow:5000": 2,
    }


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", "bfloat16"])
@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_missing_once_per_request(make_context, make_record, kind, gap):
    def answer(*scores: float) -> Record:
        return make_record(outputs=(np.array([1, 1], "<i8"), np.array(scores, kind)), batch_size=2)

    records = [answer(0.5, 0.25), answer(gap, gap), answer(0.5, gap), answer(1, 2)]
    assert named([make_context(prediction=(1, kind))], records) == {"requests": 4, "missing": 2}


def strings(*labels: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(b"".join(len(label).to_bytes(4, "little") + label for label in labels), "u1")


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        (strings(b"cat", b"dog"), False),
        (strings(b"cat", b""), True),
        (strings(b"", b""), True),
        (strings(b"cat"), True),
        (strings(), True),
        (strings(b"cat", b"dog")[:-1], True),
    ],
    ids=["all", "one empty", "all empty", "too few", "none", "cut"],
)
@pytest.mark.parametrize("prediction", [None, (1, "<f4")])
def test_a_label_that_is_empty_is_missing(make_context, make_record, labels, missing, prediction):
    record = make_record(batch_size=2, outputs=(labels, np.zeros(2, "<f4")))
    context = make_context(label=(0, "|O"), prediction=prediction)
    assert named([context], [record]) == {"requests": 1, **({"missing": 1} if missing else {})}


def test_a_request_that_lacks_label_and_number_is_missing_once(make_context, make_record):
    scores = (np.array([math.nan], "<f4"), np.array([1.0], "<f4"))
    records = [make_record(outputs=(strings(label), score)) for label in (b"", b"x") for score in scores]
    assert named([make_context(label=(0, "|O"))], records) == {"requests": 4, "missing": 3}


def test_a_failed_request_and_an_empty_one_lack_nothing(make_context, make_record):
    failed = make_record(outcome="error", outputs=())
    empty = make_record(batch_size=0, outputs=(strings(), np.empty(0, "<f4")))
    assert named([make_context(label=(0, "|O"))], [failed, empty]) == {"requests": 2, "errors": 1}


def test_an_arm_without_a_label_or_prediction_lacks_nothing(make_context, make_record):
    context = make_context(label=None, prediction=None)
    assert named([context], [make_record(outputs=())]) == {"requests": 1, "unseen": 1}
    assert named([context], [make_record(outputs=(), outcome="error")]) == {"requests": 1, "errors": 1}


def test_a_shadow_without_a_label_or_prediction_is_compared_with_nothing(make_context, make_record):
    context = make_context(arm="m:3", role="shadow", against="stable", label=None, prediction=None)
    record = make_record(attempt=100, reason="SHADOW", outputs=(), comparison=Comparison(0, 0, 0, 0, 0))
    assert named([context], [record]) == {"answers": 1, "unseen": 1}


def test_shadows_are_counted_by_what_they_are_held_against(make_context, make_record):
    context = make_context(arm="fraud:17", role="shadow", against="stable", slower_than_us=(1,))
    records = [
        make_record(attempt=100, reason="SHADOW", comparison=Comparison(3, 1, 250_000, 62_500, -4)),
        make_record(attempt=100, reason="SHADOW", comparison=Comparison(1, 1, 500_000, 250_000, 10)),
        make_record(attempt=100, reason="SHADOW", comparison=Comparison(0, 0, 0, 0, 0)),  # no instance
        make_record(attempt=100, reason="SHADOW"),  # the primary had no output to compare with
        make_record(attempt=100, reason="SHADOW", outcome="timeout", outputs=()),
        make_record(attempt=100, reason="SHADOW", outcome="error", outputs=(), error_code="CancelledError"),
    ]
    (of_route,) = tally({0: context}, records).values()
    assert {(key.arm, key.against, key.policy_version) for key in of_route} == {("fraud:17", "stable", 3)}
    assert {key.name: value for key, value in of_route.items()} == {
        "answers": 4,
        "failures": 1,
        "compared": 2,
        "flips_millionths": 1_333_333,
        "pairs": 4,
        "difference": 750_000,
        "difference_squared": 312_500,
        "delay": 6,
        "delay_squared": 116,
    }


def by_group(contexts: Sequence[Context], records: Sequence[Record]) -> dict[SumKey, int]:
    tallied = tally({context.number: context for context in contexts}, records)
    return {key: value for sums in tallied.values() for key, value in sums.items() if key.group != ALL_UNITS}


def test_what_guardrails_compare_is_also_counted_by_groups_of_units(make_context, make_record):
    context = make_context(slower_than_us=(1000,))
    units = ["a", "a", "b", None]
    arrivals_us = [0, 59_999_999, 60_000_000, 0]
    records = [
        make_record(unit_hash=unit, event_us=NOON_S * 1_000_000 + at_us + 2000, latency_us=2000, outcome="error")
        for unit, at_us in zip(units, arrivals_us, strict=True)
    ]
    a, b = (SumKey(NOON_S, 3, "stable", "2", "", "", group=group_of(unit)) for unit in "ab")
    b = b._replace(bucket_s=NOON_S + 60)
    assert by_group([context], records) == {
        key._replace(name=name): value
        for key, value in ((a, 2), (b, 1))
        for name in ("requests", "errors", "slow:1000")
    }


def test_shares_of_flips_are_counted_by_groups_of_units(make_context, make_record):
    context = make_context(arm="m:3", role="shadow", against="stable", against_version="1")
    record = make_record(attempt=100, reason="SHADOW", unit_hash="a", comparison=Comparison(4, 1, 0, 0, 0))
    key = SumKey(NOON_S, 3, "m:3", "2", "stable", "", "1", group_of("a"))
    early = key._replace(bucket_s=NOON_S - 60)  # it arrived before it ended at noon
    assert by_group([context], [record]) == {
        early._replace(name="compared"): 1, early._replace(name="flips_millionths"): 250_000,
    }  # fmt: skip


def test_an_arm_that_a_fallback_blames_is_blamed_in_the_group_of_the_unit(make_context, make_record):
    context = make_context(arm="stable", role="fallback")
    record = make_record(attempt=1, reason="FALLBACK", blamed=("canary", "3"), unit_hash="a", latency_us=0)
    assert by_group([context], [record]) == {SumKey(NOON_S, 3, "canary", "3", "", "errors", group=group_of("a")): 1}


def test_the_sums_of_groups_add_up_to_the_sum_of_all_units(make_context, make_record):
    records = [
        make_record(writer_seq=at, unit_hash=f"{at % 40:x}", outcome="ok" if at % 3 else "error") for at in range(300)
    ]
    (sums,) = tally({0: make_context()}, records).values()
    for name in ("requests", "errors"):
        of_groups = [value for key, value in sums.items() if key.name == name and key.group != ALL_UNITS]
        assert len(of_groups) > 20
        assert sum(of_groups) == sum(v for key, v in sums.items() if key.name == name and key.group == ALL_UNITS) > 0


def test_the_sums_of_pieces_add_up_to_the_sums_of_the_whole(make_context, make_record):
    context = make_context(slower_than_us=(1500,))
    records = [make_record(writer_seq=index, latency_us=1400 + index) for index in range(200)]
    whole = tally({0: context}, records)["cancer"]
    for cut in (0, 1, 77, 200):
        parts = [tally({0: context}, part).get("cancer", {}) for part in (records[:cut], records[cut:])]
        assert {key: sum(part.get(key, 0) for part in parts) for key in whole} == whole


def test_a_record_of_an_unknown_context_is_an_error(make_record):
    with pytest.raises(KeyError):
        tally({}, [make_record()])


REFUSED = {"outcome": "error", "status": 422, "error_code": "InputRefused"}


@pytest.mark.parametrize(("has_fallback", "errors"), [(True, 0), (False, 1)])
def test_values_that_an_arm_refuses_are_its_fault_unless_its_fallback_is_asked(
    make_context, make_record, has_fallback, errors
):
    counted = named([make_context(has_fallback=has_fallback)], [make_record(**REFUSED)])
    assert (counted["requests"], counted.get("errors", 0)) == (1, errors)


@pytest.mark.parametrize(("outcome", "errors"), [("ok", 1), ("error", 0)])
def test_a_fallback_that_can_answer_them_blames_the_arm_and_one_that_cannot_does_not(
    make_context, make_record, outcome, errors
):
    contexts = {
        0: make_context(arm="canary", model_version="3", has_fallback=True),
        1: make_context(number=1, arm="stable", role="fallback"),
    }
    answered = make_record(context=1, attempt=1, reason="FALLBACK", outcome=outcome, blamed=("canary", "3"))
    (counted,) = tally(contexts, [make_record(**REFUSED), answered]).values()
    assert {(key.arm, key.model_version, key.name): value for key, value in counted.items()} == {
        ("canary", "3", "requests"): 1,
        **({("canary", "3", "errors"): 1} if errors else {}),
    }


def test_a_request_for_which_the_model_was_not_asked_says_nothing_of_the_arm(make_context, make_record):
    refused = make_record(outcome="timeout", status=504, error_code="NotStarted", outputs=(), latency_us=90_000)
    context = make_context(slower_than_us=(50_000,))
    assert named([context], [refused]) == {}
    assert named([context], [refused, make_record()]) == {"requests": 1}


def test_a_deadline_of_the_callers_own_is_not_the_arms_fault(make_context, make_record):
    late = {"outcome": "timeout", "status": 504}
    records = [make_record(**late, error_code="CallersDeadline"), make_record(**late, error_code="TooLate")]
    assert named([make_context()], records) == {"requests": 2, "errors": 1}


def test_models_that_answer_truth_values_or_integers_are_seen(make_context, make_record):
    for label, output in (("|b1", np.array([True])), ("<i8", np.array([3]))):
        context = make_context(label=(0, label), prediction=None)
        assert named([context], [make_record(outputs=(output,))]) == {"requests": 1}
    scored = make_context(label=(0, "|b1"), prediction=(1, "<f4"))
    records = [
        make_record(0, at, outputs=(np.array([True]), np.float32([[value]]))) for at, value in enumerate((1, np.nan))
    ]
    assert named([scored], records) == {"requests": 2, "missing": 1}


def of_bandit(make_context: Any, **changes: Any) -> Context:
    weights = {"stable": 0.6, "canary": 0.2, "other": 0.2, "out": 0.0}
    context: Context = make_context(policy_kind="bandit", weights=weights, **changes)
    return context


def test_of_a_bandit_the_weights_are_counted_of_every_arm_whichever_was_drawn(make_context, make_record):
    contexts = {0: of_bandit(make_context), 1: of_bandit(make_context, number=1, arm="canary", role="primary")}
    forced = make_record(reason="FORCED", propensity=None)
    (counted,) = tally(contexts, [make_record(), make_record(), make_record(1), forced]).values()
    assert {key.arm: value for key, value in counted.items() if key.name == "expected_slots"} == {
        "stable": 18_000, "canary": 6_000, "other": 6_000,
    }  # fmt: skip
    assert {key.arm: value for key, value in counted.items() if key.name == "expected_slots_squared"} == {
        "stable": 108_000_000, "canary": 12_000_000, "other": 12_000_000,
    }  # fmt: skip
    assert not [key for key in counted if "*" in key.name]


def test_requests_are_weighed_by_the_share_of_the_arm_with_which_they_are_compared(make_context, make_record):
    failed = {"outcome": "error", "outputs": (), "unit_hash": "a"}
    for arm, shares in (("stable", {"canary": 0.25, "other": 0.25}), ("canary", {"stable": 0.75})):
        context = of_bandit(make_context, arm=arm, trusted="stable")
        (counted,) = tally({0: context}, [make_record(), make_record(**failed)]).values()
        weighed = {(key.name, key.group): value for key, value in counted.items() if "*" in key.name}
        assert weighed == {
            (f"{name}*{other}", group): number * round(1_000_000 * share)
            for other, share in shares.items()
            for name, group, number in (
                ("requests", ALL_UNITS, 2), ("errors", ALL_UNITS, 1),
                ("requests", group_of("a"), 1), ("errors", group_of("a"), 1),
            )
        }  # fmt: skip


def test_what_a_fallback_blames_an_arm_for_is_weighed_as_well(make_context, make_record):
    context = of_bandit(make_context, arm="stable", role="fallback", trusted="stable")
    record = make_record(attempt=1, reason="FALLBACK", blamed=("canary", "3"))
    (counted,) = tally({0: context}, [record]).values()
    assert {(key.arm, key.name): value for key, value in counted.items()} == {
        ("canary", "errors"): 1, ("canary", "errors*stable"): 750_000,
    }  # fmt: skip


PHONE, DESKTOP = (1_000, 9_000, 0, 0), (5_000, 2_000, 3_000, 0)
pack = packer(4)


def of_each_request(make_context: Any, **changes: Any) -> Context:
    """Return a context whose weights are those of an average request."""
    return of_bandit(make_context, maximised="click", trusted="stable", **changes)


def test_where_weights_depend_on_the_request_its_own_are_counted(make_context, make_record):
    slots = [PHONE, DESKTOP, PHONE]
    (counted,) = tally({0: of_each_request(make_context)}, [make_record(slots=pack(each)) for each in slots]).values()
    for power, name in ((1, "expected_slots"), (2, "expected_slots_squared")):
        assert {key.arm: value for key, value in counted.items() if key.name == name} == {
            "stable": 2 * 1_000**power + 5_000**power, "canary": 2 * 9_000**power + 2_000**power, "other": 3_000**power,
        }  # fmt: skip


def test_a_request_is_weighed_by_the_shares_of_its_own_weights(make_context, make_record):
    failed = {"outcome": "error", "outputs": (), "unit_hash": "a"}
    records = [make_record(slots=pack(PHONE)), make_record(slots=pack(DESKTOP), **failed)]
    of_desktop = {"stable": {"canary": 2 / 7, "other": 3 / 8}, "canary": {"stable": 5 / 7}}
    of_phone = {"stable": {"canary": 0.9}, "canary": {"stable": 0.1}}
    for arm in ("stable", "canary"):
        (counted,) = tally({0: of_each_request(make_context, arm=arm)}, records).values()
        weighed = {(key.name, key.group): value for key, value in counted.items() if set("*~") & set(key.name)}
        expected: Counter[tuple[str, int]] = Counter()
        for other, share in of_desktop[arm].items():
            for name in ("requests", "errors"):
                for group in (ALL_UNITS, group_of("a")):
                    expected[f"{name}*{other}", group] += round(1_000_000 * share)
                expected[f"{name}~{other}", group_of("a")] = round(1_000_000 * math.sqrt(share * (1 - share)))
        for other, share in of_phone[arm].items():
            expected[f"requests*{other}", ALL_UNITS] += round(1_000_000 * share)
        assert weighed == expected


def test_what_an_arm_is_blamed_for_is_weighed_by_the_weights_of_the_request(make_context, make_record):
    context = of_each_request(make_context, arm="stable", role="fallback")
    record = make_record(attempt=1, reason="FALLBACK", blamed=("canary", "3"), slots=pack(PHONE))
    (counted,) = tally({0: context}, [record]).values()
    assert {(key.arm, key.name): value for key, value in counted.items()} == {
        ("canary", "errors"): 1, ("canary", "errors*stable"): 100_000,
    }  # fmt: skip


@pytest.mark.parametrize("slots", [None, b"", pack(PHONE)[:-1], pack(PHONE)[:-1] + b"\x02", pack((1, 2, 3, 4))])
def test_where_the_weights_of_a_request_are_not_known_no_sum_of_them_is_counted(make_context, make_record, slots):
    """As in records of earlier releases. The context has those of an average request."""
    (counted,) = tally({0: of_each_request(make_context)}, [make_record(slots=slots)]).values()
    assert {key.name for key in counted} == {"requests"}
