"""The rows of records: one per instance, with the numbers of its tensors."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from inference_log.record import Comparison, Kept, Record, SegmentHeader
from inference_log.request_slots import packer
from inference_log.rows import partition_rows
from inference_log.schema import INFERENCES
from inference_log.segment import Segment
from tests.unit.inference_log.rows.support import NOON_US, rows_of, tables_of


def batch(make_record, rows: int, **changes) -> Record:
    X = np.arange(rows * 2, dtype="<f4").reshape(rows, 2) + 0.5  # noqa: N806  # the tensor's name
    label = np.arange(rows, dtype="<i8") * 7 - 3
    scores = np.arange(rows * 3, dtype="<f4").reshape(rows, 3) / 8
    return make_record(batch_size=rows, **{"inputs": (X,), "outputs": (label, scores), **changes})


def test_one_instance_is_one_row(make_context, make_record):
    (row,) = rows_of([make_context()], [make_record(writer_seq=5, unit_hash="u", trace_id="t", request_id="r")])
    assert row == {
        "inference_id": "d5-0-0",
        "decision_id": "d5",
        "event_ts": datetime(2026, 1, 1, 12),  # Athena's timestamps have no zone
        "event_ts_us": NOON_US + 5,
        "schema_version": 2,
        "arm": "stable",
        "role": "primary",
        "reason": "WEIGHTED",
        "policy_kind": "split",
        "policy_version": 3,
        "snapshot_hash": "abc",
        "propensity": 0.9,
        "weights": {"stable": 0.9, "canary": 0.1},
        "unit_hash": "u",
        "model_name": "cancer",
        "model_version": "2",
        "model_digest": "d" * 64,
        "instance_index": 0,
        "batch_size": 1,
        "sampling_rate": 1.0,
        "status": 200,
        "outcome": "ok",
        "error_code": "",
        "latency_ms": 1.5,
        "model_latency_ms": 0.25,
        "features_num": {"radius": 1.0, "texture": 2.0},
        "prediction": [0.25, 0.75],
        "predicted_label": "1",
        "request_id": "r",
        "trace_id": "t",
        "writer_id": "w",
        "writer_seq": 5,
        "compared_with": None,
        "label_flips": None,
        "mean_difference": None,
        "values_omitted": False,
        "policy_number": None,
        "context": None,
        "features_cat": {},
        "caller": None,
        "door": None,
        "tags": {},
        "queue_ms": None,
        "cached": False,
        "cluster": None,
        "redaction": None,
    }


def test_a_sample_says_which_instances_it_has_and_how_many_there_were(make_context, make_record):
    large = batch(make_record, 1001)
    instances = np.array([0, 250, 500, 750, 1000])
    kept = msgspec.structs.replace(
        large,
        inputs=(np.frombuffer(large.inputs[0], "<f4").reshape(-1, 2)[instances].tobytes(),),
        outputs=tuple(
            np.frombuffer(large.outputs[index], kind).reshape(1001, -1)[instances].tobytes()
            for index, kind in enumerate(("<i8", "<f4"))
        ),
        kept=Kept(5, has_values=True, is_missing=False),
    )
    small = make_record(writer_seq=1)
    all_rows = {row["instance_index"]: row for row in rows_of([make_context()], [large])}
    *sampled, last = rows_of([make_context()], [kept, small])
    assert [row["instance_index"] for row in sampled] == instances.tolist()
    for row in sampled:
        assert row == {**all_rows[row["instance_index"]], "sampling_rate": 5 / 1001}
        assert row["batch_size"] == 1001
    assert (last["instance_index"], last["sampling_rate"], last["batch_size"]) == (0, 1.0, 1)


def test_omitted_values_leave_rows_that_say_so(make_context, make_record):
    rows = rows_of([make_context()], [make_record(batch_size=3, inputs=(), outputs=(), kept=Kept(3, False, False))])
    assert [row["instance_index"] for row in rows] == [0, 1, 2]
    for row in rows:
        assert (row["values_omitted"], row["sampling_rate"]) == (True, 1.0)
        assert (row["features_num"], row["prediction"], row["predicted_label"]) == ({}, [], None)


def test_the_weights_are_those_of_the_request_where_each_has_its_own(make_context, make_record):
    pack = packer(2)
    records = [
        batch(make_record, 2, writer_seq=0, slots=pack((2_500, 7_500))),
        make_record(writer_seq=1, slots=pack((0, 10_000))),
        make_record(writer_seq=2),
        make_record(writer_seq=3, slots=b"damaged"),
    ]
    of_all = {"stable": 0.9, "canary": 0.1}
    assert [row["weights"] for row in rows_of([make_context(maximised="click")], records)] == [
        {"stable": 0.25, "canary": 0.75}, {"stable": 0.25, "canary": 0.75}, {"stable": 0.0, "canary": 1.0}, of_all,
        of_all,
    ]  # fmt: skip


def test_a_shadows_rows_say_what_it_was_compared_with_and_how_it_differed(make_context, make_record):
    context = make_context(arm="fraud:17", role="shadow", against="stable")
    compared = batch(make_record, 2, attempt=100, comparison=Comparison(2, 1, 500_000, 130_000, -7))
    alone = make_record(writer_seq=1, attempt=100)
    none = make_record(writer_seq=2, attempt=101, comparison=Comparison(0, 0, 0, 0, 40))
    rows = rows_of([context], [compared, alone, none])
    assert [row["inference_id"] for row in rows] == ["d0-100-0", "d0-100-1", "d1-100-0", "d2-101-0"]
    assert {(row["role"], row["arm"], row["compared_with"]) for row in rows} == {("shadow", "fraud:17", "stable")}
    assert [row["label_flips"] for row in rows] == [1, 1, None, 0]
    assert [row["mean_difference"] for row in rows] == [0.25, 0.25, None, None]


def test_types_are_those_that_the_schema_declares(make_context, make_record):
    (table,) = tables_of([make_context()], [batch(make_record, 3)]).values()
    assert table.schema.equals(INFERENCES.columns)
    table.validate(full=True)


def test_a_batch_of_three_is_three_rows(make_context, make_record):
    rows = rows_of([make_context()], [batch(make_record, 3)])
    assert [row["inference_id"] for row in rows] == ["d0-0-0", "d0-0-1", "d0-0-2"]
    assert [row["features_num"] for row in rows] == [
        {"radius": 0.5, "texture": 1.5},
        {"radius": 2.5, "texture": 3.5},
        {"radius": 4.5, "texture": 5.5},
    ]
    assert [row["predicted_label"] for row in rows] == ["-3", "4", "11"]
    assert [row["prediction"] for row in rows] == [[0, 0.125, 0.25], [0.375, 0.5, 0.625], [0.75, 0.875, 1]]
    assert {row["batch_size"] for row in rows} == {3}
    assert {row["writer_seq"] for row in rows} == {0}


def test_a_batch_of_none_is_one_row(make_context, make_record):
    (row,) = rows_of([make_context()], [batch(make_record, 0)])
    assert (row["instance_index"], row["batch_size"]) == (0, 0)
    assert (row["features_num"], row["predicted_label"], row["prediction"] or []) == ({}, None, [])


def test_a_rejected_request_is_one_row_without_tensors(make_context, make_record):
    context = make_context(features=(), inputs=(), label=None, prediction=None, arm="", model_name="")
    record = make_record(
        batch_size=0, outcome="rejected", status=400, error_code="BadRequest", reason="", propensity=None,
        inputs=(), outputs=(),
    )  # fmt: skip
    (row,) = rows_of([context], [record])
    assert (row["outcome"], row["status"], row["error_code"]) == ("rejected", 400, "BadRequest")
    assert (row["features_num"], row["prediction"], row["predicted_label"]) == ({}, None, None)
    assert row["propensity"] is None


def test_a_failed_attempt_keeps_its_features(make_context, make_record):
    record = batch(make_record, 2, outcome="error", status=500, outputs=())
    rows = rows_of([make_context()], [record])
    assert [row["features_num"]["radius"] for row in rows] == [0.5, 2.5]
    assert [row["predicted_label"] for row in rows] == [None, None]
    assert [row["prediction"] or [] for row in rows] == [[], []]


def test_batches_of_many_sizes_share_a_table(make_context, make_record):
    records = [batch(make_record, size, writer_seq=index) for index, size in enumerate((3, 0, 1, 2))]
    records.append(batch(make_record, 2, writer_seq=4, outputs=(), outcome="timeout"))
    records.append(make_record(writer_seq=5, batch_size=0, inputs=(), outputs=(), outcome="rejected"))
    rows = rows_of([make_context()], records)
    assert [row["writer_seq"] for row in rows] == [0, 0, 0, 1, 2, 3, 3, 4, 4, 5]
    assert [row["instance_index"] for row in rows] == [0, 1, 2, 0, 0, 0, 1, 0, 1, 0]
    assert [row["features_num"].get("texture") for row in rows] == [1.5, 3.5, 5.5, None, 1.5, 1.5, 3.5, 1.5, 3.5, None]
    assert [row["predicted_label"] for row in rows] == ["-3", "4", "11", None, "-3", "-3", "4", None, None, None]
    assert len({row["inference_id"] for row in rows}) == len(rows)


def test_two_inputs_are_interleaved_row_by_row(make_context, make_record):
    context = make_context(features=("a", "b", "n"), inputs=("<f8", "<i4"))
    first = np.array([[1, 2], [3, 4], [5, 6]], "<f8")
    second = np.array([[10], [20], [30]], "<i4")
    rows = rows_of([context], [batch(make_record, 3, inputs=(first, second))])
    assert [list(row["features_num"].items()) for row in rows] == [
        [("a", 1), ("b", 2), ("n", 10)],
        [("a", 3), ("b", 4), ("n", 20)],
        [("a", 5), ("b", 6), ("n", 30)],
    ]


@pytest.mark.parametrize(("kind", "values"), [("|b1", [True, False]), ("|u1", [255, 0]), ("<i8", [-5, 7])])
def test_labels_are_written_as_they_are_called(make_context, make_record, kind, values):
    outputs = (np.array(values, kind), np.zeros((2, 1), "<f4"))
    rows = rows_of([make_context(label=(0, kind))], [batch(make_record, 2, outputs=outputs)])
    assert [row["predicted_label"] for row in rows] == [str(value) for value in values]


def test_label_and_prediction_are_found_by_their_index(make_context, make_record):
    context = make_context(label=(1, "<i4"), prediction=(0, "<f8"))
    record = make_record(outputs=(np.array([2.5], "<f8"), np.array([4], "<i4")))
    (row,) = rows_of([context], [record])
    assert (row["predicted_label"], row["prediction"]) == ("4", [2.5])


def test_attempts_of_one_decision_have_ids_of_their_own(make_context, make_record):
    records = [make_record(writer_seq=index, decision_id="d", attempt=index) for index in range(2)]
    assert [row["inference_id"] for row in rows_of([make_context()], records)] == ["d-0-0", "d-1-0"]


def test_times_are_cut_to_milliseconds_beside_the_exact_ones(make_context, make_record):
    (row,) = rows_of([make_context()], [make_record(event_us=NOON_US + 1999)])
    assert row["event_ts"].replace(tzinfo=UTC) == datetime(2026, 1, 1, 12, 0, 0, 1000, tzinfo=UTC)
    assert row["event_ts_us"] == NOON_US + 1999


def test_an_output_of_several_integers_per_instance_does_not_spoil_the_segment(make_context, make_record):
    outputs = (np.array([[1, 0, 1], [0, 0, 1]], "<i8"), np.zeros((2, 1), "<f4"))  # a classifier with three labels
    assert len(rows_of([make_context()], [batch(make_record, 2, outputs=outputs)])) == 2


def test_an_output_without_a_batch_dimension_does_not_spoil_the_segment(make_context, make_record):
    outputs = (np.array([1], "<i8"), np.zeros((3, 1), "<f4"))
    assert len(rows_of([make_context()], [batch(make_record, 3, outputs=outputs)])) == 3


def test_an_instance_with_more_values_than_names_does_not_spoil_the_segment(make_context, make_record):
    context = make_context(features=("X",))  # the gateway's name for an input of shape [-1, -1]
    assert len(rows_of([context], [batch(make_record, 2)])) == 2


def test_an_input_without_a_batch_dimension_does_not_spoil_the_segment(make_context, make_record):
    context = make_context(features=("a", "b", "p", "q"), inputs=("<f4", "<f4"))
    inputs = (np.zeros((3, 2), "<f4"), np.zeros(2, "<f4"))  # the second input is for the whole batch
    assert len(rows_of([context], [batch(make_record, 3, inputs=inputs)])) == 3


def lengths_first(*elements: bytes) -> np.ndarray:
    content = b"".join(len(element).to_bytes(4, "little") + element for element in elements)
    return np.frombuffer(content, np.uint8)


def test_labels_may_be_strings(make_context, make_record):
    record = batch(make_record, 3, outputs=(lengths_first(b"cat", "é".encode(), b"\xff"), np.zeros((3, 1), "<f4")))
    rows = rows_of([make_context(label=(0, "|O"))], [record])
    assert [row["predicted_label"] for row in rows] == ["cat", "é", "\ufffd"]


@pytest.mark.parametrize(
    "output",
    [lengths_first(b"a"), lengths_first(b"a", b"b", b"c"), lengths_first(b"a", b"b")[:-1], lengths_first()],
    ids=["too few", "too many", "cut", "none"],
)
def test_strings_that_are_not_one_per_instance_do_not_spoil_the_segment(make_context, make_record, output):
    good = batch(make_record, 2, writer_seq=1, outputs=(lengths_first(b"a", b"b"), np.zeros((2, 1), "<f4")))
    rows = rows_of(
        [make_context(label=(0, "|O"))], [batch(make_record, 2, outputs=(output, np.zeros((2, 1), "<f4"))), good]
    )
    assert [row["predicted_label"] for row in rows] == [None, None, "a", "b"]


def test_bf16_is_read(make_context, make_record):
    values = np.array([[1.5, -2.0]], "bfloat16")
    context = make_context(inputs=("bfloat16",), prediction=(1, "bfloat16"))
    (row,) = rows_of([context], [make_record(inputs=(values,), outputs=(np.array([1], "<i8"), values))])
    assert row["features_num"] == {"radius": 1.5, "texture": -2.0}
    assert row["prediction"] == [1.5, -2.0]


def texts(*words: bytes) -> np.ndarray:
    """Return what a record holds of these texts."""
    return np.frombuffer(b"".join(len(word).to_bytes(4, "little") + word for word in words), np.uint8)


def test_texts_are_features_by_the_name_of_their_input(make_context, make_record):
    context = make_context(categories=("sex", "town"), inputs=("<f8", "|b1"), features=("age", "member"))
    numbers = np.array([31.5, 40.0]), np.array([True, False])
    whole = make_record(batch_size=2, inputs=(*numbers, texts(b"f", b"m"), texts(b"\xff", "Köln".encode())))
    rows = rows_of([context], [whole])
    assert [row["features_num"] for row in rows] == [{"age": 31.5, "member": 1.0}, {"age": 40.0, "member": 0.0}]
    assert [row["features_cat"] for row in rows] == [{"sex": "f", "town": "\ufffd"}, {"sex": "m", "town": "Köln"}]


def test_texts_that_are_not_logged_are_not_in_the_map(make_context, make_record):
    context = make_context(categories=("sex", "town"), inputs=(), features=())
    cut = make_record(0, 1, batch_size=2, inputs=(texts(), texts(b"a", b"b")))
    rejected = make_record(0, 2, batch_size=0, inputs=(), outputs=())
    rows = rows_of([context], [cut, rejected])
    assert [row["features_cat"] for row in rows] == [{"town": "a"}, {"town": "b"}, {}]
    assert {str(row["features_num"]) for row in rows} == {"{}"}


def test_rows_say_in_which_cluster_they_were_made(make_context, make_record):
    segment = Segment.empty(SegmentHeader("w", 0, cluster="blue"))
    segment = segment._replace(contexts={0: make_context(redaction="ab12")}, records=[make_record()])
    (table,) = partition_rows(segment).values()
    assert table.column("cluster").to_pylist() == ["blue"]
    assert table.column("redaction").to_pylist() == ["ab12"]


def test_of_a_route_that_is_sampled_answers_stand_for_others_and_nothing_else_does(make_context, make_record):
    sampled = make_context(sample_slots=2500)
    left_out = make_record(1, 1, batch_size=7, inputs=(), outputs=(), kept=Kept(0, False, is_missing=True))
    failed = make_record(1, 2, outcome="error", status=500, outputs=())
    part = make_record(1, 3, batch_size=2000, inputs=(), outputs=(), kept=Kept(1000, False, is_missing=False))
    rows = rows_of([msgspec.structs.replace(sampled, number=1)], [make_record(1, 0), left_out, failed, part])
    assert [row["sampling_rate"] for row in rows[:3]] == [0.25, None, 1.0]
    assert {row["sampling_rate"] for row in rows[3:]} == {0.125}
    assert (rows[1]["batch_size"], rows[1]["instance_index"], rows[1]["values_omitted"]) == (7, 0, True)
    assert (rows[1]["features_num"], rows[1]["prediction"], rows[1]["predicted_label"]) == ({}, [], None)
