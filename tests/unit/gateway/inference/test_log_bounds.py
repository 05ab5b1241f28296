"""What one request may log is bounded, and what is counted from the log stays exact all the same."""

import itertools

import msgspec
import numpy as np
import pytest

from gateway.inference.call import Call
from gateway.inference.log_bounds import LogBounds, logged_values
from gateway.inference.recorder import MAX_REQUEST_ID_CHARS, Recorder
from inference_log.record import Context, Kept, Record
from inference_log.segment import read_segment
from inference_log.tally import tally
from inference_log.values import elements, kept_instances
from inference_log.writer import LogWriter
from runtimes.datatypes import BYTES, NUMPY_OF, tensor_of_bytes
from runtimes.logged_tensors import MAX_TEXT_BYTES

NO_BOUNDS = LogBounds(1_000_000, 1 << 40)


def context_of(label: str, prediction: str) -> Context:
    return Context(
        0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", features=("x", "y"), inputs=("<f4",),
        label=(0, label), prediction=(1, prediction),
    )  # fmt: skip


def outputs_of(rows: int, kind: str = "FP32") -> list[np.ndarray]:
    return [np.arange(rows), np.ones((rows, 3), NUMPY_OF[kind])]


def inputs_of(rows: int) -> list[np.ndarray]:
    return [np.arange(rows * 2, dtype="<f4").reshape(rows, 2)]


def record_of(bounds: LogBounds, context: Context, rows: int, inputs: list, outputs: list) -> Record:
    logged = logged_values(bounds, context, rows, inputs, outputs, (0, 1))
    return Record(
        0, 0, "d", 0, 0, "WEIGHTED", 0.5, None, 200, "ok", "", 0, 0, rows, "", "", logged.inputs, logged.outputs,
        kept=logged.kept,
    )  # fmt: skip


@pytest.mark.parametrize(("rows", "kept"), [(3, 2), (7, 6), (1001, 1000), (60_000, 1000), (65_536, 999)])
def test_a_sample_is_evenly_spaced_with_the_first_and_the_last(rows, kept):
    instances = kept_instances(rows, kept)
    gaps = np.diff(instances)
    assert (len(instances), instances[0], instances[-1]) == (kept, 0, rows - 1)
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_what_is_within_the_bounds_is_logged_whole():
    inputs, outputs = inputs_of(1000), outputs_of(1000)
    logged = logged_values(LogBounds(), context_of("<i8", "<f4"), 1000, inputs, outputs, (1,))
    assert logged == ((inputs[0].tobytes(),), (b"", outputs[1].tobytes()), None)


def test_a_request_with_many_instances_logs_a_sample_of_them():
    inputs, outputs = inputs_of(60_000), outputs_of(60_000)
    logged = logged_values(LogBounds(), context_of("<i8", "<f4"), 60_000, inputs, outputs, (0, 1))
    instances = kept_instances(60_000, 1000)
    assert logged.inputs == (inputs[0][instances].tobytes(),)
    assert logged.outputs == tuple(tensor[instances].tobytes() for tensor in outputs)
    assert logged.kept == Kept(1000, has_values=True, is_missing=False)


def test_values_that_are_too_many_bytes_are_left_out():
    bounds, inputs = LogBounds(1000, 100), inputs_of(10)
    within = logged_values(bounds, context_of("<i8", "<f4"), 10, inputs, [], ())
    assert (len(within.inputs[0]), within.kept) == (80, None)
    beyond = logged_values(bounds, context_of("<i8", "<f4"), 10, inputs, outputs_of(10), (0, 1))
    assert beyond == ((), (), Kept(10, has_values=False, is_missing=False))
    wide = [np.zeros((5000, 40), "<f4")]
    assert logged_values(bounds, context_of("<i8", "<f4"), 5000, wide, [], ()).kept == Kept(1000, False, False)


def test_an_output_without_a_row_per_instance_is_not_sampled():
    outputs = [np.arange(7), np.float32(1.0).reshape(())]
    logged = logged_values(LogBounds(2), context_of("<i8", "<f4"), 5, inputs_of(5), outputs, (0, 1))
    assert logged.outputs == (b"", b"")


GAPS = [None, 0, 3, 6]
"""The instances whose output lacks a value. Of seven, a sample of three keeps 0, 3 and 6; the others are 1, 2, 4, 5."""


@pytest.mark.parametrize(("kind", "type_string"), [("FP32", "<f4"), ("FP16", "<f2"), ("BF16", "bfloat16")])
@pytest.mark.parametrize("bounds", [LogBounds(3), LogBounds(1000, 0), LogBounds(3, 0)], ids=["sample", "none", "both"])
@pytest.mark.parametrize("text", [False, True])
def test_sums_are_those_of_the_whole_request(kind, type_string, bounds, text):
    context = context_of("|O" if text else "<i8", type_string)
    for gap, value, empty in itertools.product([*GAPS, 1, 2, 4, 5], [np.nan, np.inf, 1.0], [None, 2, 3]):
        outputs = outputs_of(7, kind)
        if gap is not None:
            outputs[1][gap, 2] = value
        if text:
            outputs[0] = tensor_of_bytes([b"" if index == empty else b"x" for index in range(7)], (7,))
        whole = record_of(NO_BOUNDS, context, 7, inputs_of(7), outputs)
        part = record_of(bounds, context, 7, inputs_of(7), outputs)
        assert (whole.kept, part.kept is None) == (None, False)
        assert tally({0: context}, [part]) == tally({0: context}, [whole])
        assert tally({0: context}, [part, whole, part]) == tally({0: context}, [whole] * 3)


def test_of_the_texts_of_inputs_the_log_keeps_the_beginnings():
    """A text of 15 MB was not logged at all, and took no other value with it."""
    context = msgspec.structs.replace(context_of("<i8", "<f4"), categories=("note",))
    notes = tensor_of_bytes([b"x" * 15_000_000, b"short"], (2, 1))
    logged = logged_values(LogBounds(), context, 2, [*inputs_of(2), notes], outputs_of(2), (0, 1))
    assert logged.kept is None
    assert elements(logged.inputs[1]) == [b"x" * MAX_TEXT_BYTES, b"short"]


def test_texts_that_take_too_much_are_left_out_and_nothing_else_is():
    context = msgspec.structs.replace(context_of("<i8", "<f4"), categories=tuple("abcdefgh"))
    notes = [tensor_of_bytes([b"x" * 1000] * 5000, (5000,)) for _ in range(8)]
    logged = logged_values(LogBounds(), context, 5000, [*inputs_of(5000), *notes], outputs_of(5000), (0, 1))
    assert logged.kept == Kept(1000, has_values=True, is_missing=False)
    assert len(logged.inputs[0]) == 8000
    assert set(logged.inputs[1:]) == {b""}


def test_labels_that_are_too_few_count_as_missing_in_a_sample_too():
    context = context_of("|O", "<f4")
    outputs = [np.array([b"x"] * 4, BYTES), np.ones((7, 3), "<f4")]
    records = [record_of(bounds, context, 7, [], outputs) for bounds in (NO_BOUNDS, LogBounds(3), LogBounds(3, 0))]
    sums = [tally({0: context}, [record]) for record in records]
    assert sums[0] == sums[1] == sums[2]
    assert sorted(key.name for key in sums[0]["r"]) == ["missing", "requests"]


def test_the_largest_request_logs_little(tmp_path):
    """A request of 15 MB was logged with 15 MB. Its id, of any length, was repeated in each row."""
    writer = LogWriter(tmp_path, "w")
    inputs = [np.zeros((60_000, 62), "<f4")]
    call = Call("d", 0.0, {}, 60_000, request_id="i" * 15_000_000)
    Recorder(writer).record(
        context_of("<i8", "<f4"), call, attempt=0, reason="WEIGHTED", propensity=1.0, status=200, outcome="ok",
        error_code="", latency_s=0.0, inputs=inputs, outputs=outputs_of(60_000), logged_outputs=(0, 1),
    )  # fmt: skip
    path = writer.rotate(0, 0)
    assert path is not None
    assert path.stat().st_size < 1024 * 1024 + 4096
    (record,) = read_segment(path.read_bytes()).records
    assert (record.batch_size, record.kept) == (60_000, Kept(1000, True, False))
    assert record.request_id == "i" * MAX_REQUEST_ID_CHARS
