"""The view `labelled`: SQL gives what the rules of `router.rewards` give."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.query import run_query
from inference_log.record import Audit, Context, Record, Reward, RewardContext, SegmentHeader
from inference_log.reward_tally import weigh
from inference_log.segment import SUFFIX, frame
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from router.rewards.events import MAX_EVENTS, Operation
from router.rewards.sums import NO_GROUP, exposure, in_units, millionths
from router.spec.metric import Aggregate, MetricSpec
from router.spec.parse_metrics import unparse_metrics
from tests.unit.inference_log.conftest import NOON_US

LATENCY_US = 1500
NUMBERS = tuple(MetricSpec(str(how), 3600.0, -2.0, 5.0, 0.5, how) for how in Aggregate)
LABEL = MetricSpec("truth", 3600.0, is_label=True)
METRICS = tuple(sorted([*NUMBERS, LABEL], key=lambda each: each.name))
CONTEXT = RewardContext(0, "shop", 5, 3, "canary", "17", METRICS)


def audit(metrics: tuple[MetricSpec, ...] = METRICS, **more) -> Audit:
    document = json.dumps({"spec": {"metrics": unparse_metrics(metrics)}})
    values = {"number": 1, "version": 3, "at_us": NOON_US - 10**9, "document": document, **more}
    return Audit(route="shop", who="ann", what="declare", why="", by="", phase="", weights={}, **values)


def record(decision_id: str, context: int = 1, **more) -> Record:
    values = {"event_us": NOON_US + LATENCY_US, "reason": "WEIGHTED", "propensity": 0.5, "outcome": "ok", **more}
    return Record(
        context, 0, decision_id, 0, unit_hash=None, status=200, error_code="", latency_us=LATENCY_US, model_us=9,
        batch_size=1, request_id="", trace_id="", **values,
    )  # fmt: skip


def context(number: int = 1, **more) -> Context:
    values = {"arm": "canary", "role": "primary", "policy_version": 3, **more}
    return Context(
        number, "shop", policy_kind="split", snapshot_hash="", weights={}, model_name="m", model_version="17",
        model_digest="", **values,
    )  # fmt: skip


def reward(number: int, **more) -> Reward:
    values = {
        "decision_id": "d0", "metric": "sum", "event": "e", "operation": Operation.ADD, "event_us": NOON_US,
        "value": 1.0, "is_late": False, **more,
    }  # fmt: skip
    return Reward(
        0, number, decided_us=NOON_US, latency_us=LATENCY_US, propensity=0.5, group=-1, arrived_us=NOON_US + number,
        source="http", **values,
    )  # fmt: skip


def write(folder, entries, sequence: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    entries = (SegmentHeader("w", sequence), context(), CONTEXT, *entries)
    (folder / f"w-{sequence:08d}{SUFFIX}").write_bytes(b"".join(map(frame, entries)))


def asked(home, sql: str):
    return run_query(DirectoryFiles(home / "log"), home / "spool", sql)


@st.composite
def said(draw):
    metric = draw(st.sampled_from(METRICS))
    values = st.sampled_from(["cat", "dog"]) if metric.is_label else st.sampled_from([-2.0, 0.0, 0.25, 1.0, 5.0])
    return {
        "decision_id": draw(st.sampled_from(["d0", "d1"])),
        "metric": metric.name,
        "event": draw(st.sampled_from(["a", "b", "c"])),
        "operation": draw(st.sampled_from(Operation)),
        "event_us": NOON_US + draw(st.integers(0, 3)),
        "value": draw(values),
        "is_late": draw(st.sampled_from([False, False, False, True])),
    }


def expected(metric: MetricSpec, rewards, decision_id: str) -> tuple[int, bool]:
    """Return the value in millionths, and whether it is the default, by what is counted."""
    of_decision = [each for each in rewards if each.decision_id == decision_id]
    added = weigh({0: CONTEXT}, of_decision, {}).added.get("shop", {})
    found = [each for key, each in added.items() if key.metric == metric.name and key.group == NO_GROUP]
    begun = exposure(metric, METRICS, LATENCY_US)
    return begun.total + sum(each.total for each in found), sum(each.rewarded for each in found) == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(said(), max_size=14), st.randoms(use_true_random=False), st.booleans())
def test_the_sql_gives_what_the_counted_sums_give_in_any_order_and_with_repetitions(tmp_path_factory, said, rng, ships):
    said = [*said, *rng.sample(said, len(said) // 2)]
    rng.shuffle(said)
    rewards = [reward(number, **each) for number, each in enumerate(said)]
    home = tmp_path_factory.mktemp("log")
    write(home / "spool" / "0", [audit(), record("d0"), record("d1"), *rewards[::2]], 0)
    if ships:
        Shipper(home / "spool", LocalConverter(DirectorySink(home / "log"))).tick()
    write(home / "spool" / "0", rewards[1::2], 1)
    _, rows = asked(home, "SELECT decision_id, metric, value, label, is_default, late_value, late_label FROM labelled",
    )  # fmt: skip
    assert len(rows) == 2 * len(METRICS)
    with_late = [reward(number, **{**each, "is_late": False}) for number, each in enumerate(said)]
    metrics = {metric.name: metric for metric in METRICS}
    for decision_id, name, value, label, is_default, late_value, late_label in rows:
        metric = metrics[name]
        late = any(each.is_late and each.decision_id == decision_id and each.metric == name for each in rewards)
        if metric.is_label:
            assert (value, late_value) == (None, None)
            assert label == true_label(rewards, decision_id)
            assert is_default == (label is None)
            assert late_label == (true_label(with_late, decision_id) if late else None)
        else:
            assert (millionths(value, metric), is_default) == expected(metric, rewards, decision_id)
            assert in_units(expected(metric, rewards, decision_id)[0] / 1e6, metric) == pytest.approx(value, abs=1e-5)
            assert (label, late_label) == (None, None)
            if late:
                assert millionths(late_value, metric) == expected(metric, with_late, decision_id)[0]
            else:
                assert late_value is None


def true_label(rewards, decision_id: str) -> str | None:
    """Return the label of the latest event, by the plain rules."""
    known: dict[str, tuple] = {}
    for each in rewards:
        if each.is_late or (each.decision_id, each.metric) != (decision_id, "truth"):
            continue
        rank = list(Operation).index(each.operation)
        said = rank, each.event_us if rank == 1 else -each.event_us, each.value
        known[each.event] = max(known.get(each.event, said), said)
    held = [(abs(us), event, value) for event, (rank, us, value) in known.items() if rank < 2]
    return max(held)[2] if held else None


def test_only_primaries_have_rows_and_those_that_were_not_drawn_say_so(tmp_path):
    entries = [
        audit(),
        context(2, role="fallback"),
        context(3, role="shadow"),
        record("drawn"),
        record("forced", reason="FORCED", propensity=None),
        record("pinned", reason="PINNED", propensity=None),
        record("fallback", 2),
        record("shadow", 3),
    ]
    write(tmp_path / "spool" / "0", entries)
    _, rows = asked(
        tmp_path,
        "SELECT decision_id, reason FROM labelled WHERE metric = 'sum' ORDER BY 1",
    )
    assert rows == [("drawn", "WEIGHTED"), ("forced", "FORCED"), ("pinned", "PINNED")]


@pytest.mark.parametrize(("sent", "label"), [("7", "7"), (7.0, "7"), (0.5, "0.5"), (-3.0, "-3"), ("7.0", "7.0")])
def test_a_label_that_is_a_number_is_written_like_a_predicted_one(tmp_path, sent, label):
    write(tmp_path / "spool" / "0", [audit(), record("d0"), reward(0, metric="truth", value=sent)])
    sql = "SELECT label, value FROM labelled WHERE metric = 'truth'"
    assert asked(tmp_path, sql)[1] == [(label, None)]


def test_a_decision_matures_a_minute_after_its_window(tmp_path):
    now_us = int(time.time() * 1e6)
    ends = {"over": 3600 + 61, "settling": 3600 + 30, "open": 3500}
    records = [record(name, event_us=now_us - 1_000_000 * age_s + LATENCY_US) for name, age_s in ends.items()]
    write(tmp_path / "spool" / "0", [audit(), *records])
    _, rows = asked(
        tmp_path,
        "SELECT decision_id, matured FROM labelled WHERE metric = 'sum'",
    )
    assert dict(rows) == {"over": True, "settling": False, "open": False}


def test_events_beyond_the_most_are_refused_and_not_in_the_value(tmp_path):
    rewards = [reward(number, event=f"e{MAX_EVENTS - number:02}", value=0.001) for number in range(MAX_EVENTS + 2)]
    write(tmp_path / "spool" / "0", [audit(), record("d0"), *rewards])
    _, rows = asked(tmp_path, "SELECT value FROM labelled WHERE metric = 'sum'")
    assert rows == [(pytest.approx(0.001 * MAX_EVENTS),)]


def test_a_version_that_came_again_after_the_store_was_lost_has_the_metrics_of_its_time(tmp_path):
    other = audit((MetricSpec("other", 60.0),), number=2, at_us=NOON_US + 10**9)
    after = record("after", event_us=NOON_US + 2 * 10**9)
    write(tmp_path / "spool" / "0", [audit((MetricSpec("one", 60.0),)), other, record("before"), after])
    _, rows = asked(tmp_path, "SELECT decision_id, metric FROM labelled ORDER BY 2")
    assert rows == [("before", "one"), ("after", "other")]


def test_metrics_are_a_table_and_a_document_that_cannot_be_read_declares_none(tmp_path):
    broken = [audit(number=2, version=4, document="{"), audit(number=3, version=5, document='{"spec": {"metrics": 3}}')]
    formula = MetricSpec("net", 60.0, -1.0, 1.0, formula="click - 0.1 * latency_ms", parts=("click", "latency_ms"))
    write(tmp_path / "spool" / "0", [audit((MetricSpec("click", 60.0), formula)), *broken])
    sql = "SELECT route, policy_version, metric, window_s, low, default_value, aggregate, formula FROM metrics"
    assert asked(tmp_path, sql)[1] == [
        ("shop", 3, "click", 60.0, 0.0, 0.0, "last", None),
        ("shop", 3, "net", 60.0, -1.0, 0.0, None, "click - 0.1 * latency_ms"),
    ]
