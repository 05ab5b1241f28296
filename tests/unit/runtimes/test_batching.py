"""Batches: merging and splitting, the isolation of a poisoned request, and the models that can be batched."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from runtimes.batching import merge, run_isolated, shape_key, split, why_unbatched
from runtimes.datatypes import NUMPY_OF
from runtimes.errors import InputRefused, ModelFailed
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, Signature, TensorSpec
from runtimes.onnx.runtime import load_onnx
from runtimes.sklearn.runtime import SklearnRuntime

SIGNATURE = Signature(inputs=(TensorSpec("X", "FP32", (-1, 2)),), outputs=(TensorSpec("y", "FP32", (-1,)),))
Model = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


class Counted:
    """A runtime of one function of X that records how often it ran, and on how many rows."""

    def __init__(self, model: Model, signature: Signature = SIGNATURE) -> None:
        self.unbatched_because = ""
        self.signature = signature
        self.runs: list[int] = []
        self._model = model

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:  # noqa: ARG002  # required by the Protocol
        """See `runtimes.runtime.Runtime.run`."""
        self.runs.append(len(inputs["X"]))
        return [self._model(inputs["X"])]


def picky(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return row sums. Raise if a single value is NaN."""
    if np.isnan(x).any():
        raise ModelFailed("NaN")
    return x.sum(axis=1)


def raising(_: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    raise ModelFailed("always")


def elements(datatype: str) -> st.SearchStrategy[Any]:
    dtype = NUMPY_OF[datatype]
    if datatype == "BYTES":
        return st.binary(max_size=5)
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        return st.integers(np.iinfo(dtype).min, np.iinfo(dtype).max)
    return st.integers(-100, 100).map(float)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[int]]:
    """Draw requests of one shape key: their inputs, and the number of rows of each."""
    kinds = draw(st.lists(st.sampled_from(list(NUMPY_OF)), min_size=1, max_size=3))
    shapes = [tuple(draw(st.lists(st.integers(0, 3), max_size=2))) for _ in kinds]
    rows = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))

    def tensor(datatype: str, shape: tuple[int, ...]) -> Any:
        count = int(np.prod(shape))
        values = draw(st.lists(elements(datatype), min_size=count, max_size=count))
        return np.array(values, NUMPY_OF[datatype]).reshape(shape)

    requests = [
        {f"in{i}": tensor(kind, (count, *shape)) for i, (kind, shape) in enumerate(zip(kinds, shapes, strict=True))}
        for count in rows
    ]
    return requests, rows


@given(batches())
@settings(max_examples=150)
def test_what_was_merged_is_split_into_the_same(batch):
    requests, rows = batch
    merged = merge(requests)
    parts = split(list(merged.values()), rows)
    assert len(parts) == len(requests)
    for part, request in zip(parts, requests, strict=True):
        for tensor, original in zip(part, request.values(), strict=True):
            assert (tensor.dtype, tensor.shape) == (original.dtype, original.shape)
            assert np.array_equal(tensor, original)


def test_parts_are_views_and_a_lone_request_is_itself():
    merged = np.arange(6, dtype="f4").reshape(3, 2)
    assert all(np.shares_memory(part, merged) for (part,) in split([merged], [1, 2]))
    inputs = {"X": merged}
    assert merge([inputs]) is inputs
    assert split([merged], [3])[0][0] is merged


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple), min_size=2, max_size=2))
@settings(max_examples=60)
def test_requests_of_one_shape_key_are_those_that_can_be_merged(shapes):
    one, other = ({"X": np.zeros(shape)} for shape in shapes)
    try:
        merge([one, other])
        fits = True
    except ValueError:
        fits = False
    assert (shape_key(one) == shape_key(other)) == fits


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=64))
@settings(max_examples=60)
def test_exactly_the_poisoned_requests_are_refused_after_a_logarithmic_number_of_runs(requests):
    rows = [count for count, _ in requests]
    tensors = [np.full((count, 2), np.nan if bad else at, np.float32) for at, (count, bad) in enumerate(requests)]
    runtime = Counted(picky)
    results = run_isolated(runtime, {"X": np.concatenate(tensors)}, rows, ["y"])
    for at, ((count, bad), result) in enumerate(zip(requests, results, strict=True)):
        if bad:
            assert isinstance(result, InputRefused)
        else:
            assert result[0].tolist() == [2.0 * at] * count
    poisoned = sum(bad for _, bad in requests)
    depth = max(len(requests) - 1, 1).bit_length()
    # Each poisoned request costs two runs at each level of halving, and one run on zeros at the end.
    assert len(runtime.runs) <= 1 + poisoned * (2 * depth + 1)


def test_one_poisoned_row_among_64_costs_a_dozen_runs():
    x = np.zeros((64, 2), np.float32)
    x[40, 1] = np.nan
    runtime = Counted(picky)
    results = run_isolated(runtime, {"X": x}, [1] * 64, ["y"])
    assert [at for at, result in enumerate(results) if isinstance(result, InputRefused)] == [40]
    assert str(results[40]) == "The model cannot answer these values. NaN"
    assert len(runtime.runs) == 1 + 6 * 2 + 1


def test_a_model_that_always_raises_fails_for_each():
    runtime = Counted(raising)
    results = run_isolated(runtime, {"X": np.zeros((64, 2), np.float32)}, [1] * 64, ["y"])
    assert [(type(result), str(result)) for result in results] == [(ModelFailed, "always")] * 64
    assert len(runtime.runs) == 127 + 64


def test_an_answer_with_other_rows_is_asked_for_one_by_one():
    runtime = Counted(lambda x: x[:1, 0])  # one row for any number of rows
    results = run_isolated(runtime, {"X": np.arange(8, dtype="f4").reshape(4, 2)}, [1] * 4, ["y"])
    assert [result[0].tolist() for result in results] == [[0.0], [2.0], [4.0], [6.0]]


def test_a_lone_request_that_gets_other_rows_is_a_failure_unless_the_model_is_known_to_be_like_that():
    x = {"X": np.zeros((3, 2), np.float32)}
    runtime = Counted(lambda x: x[:1, 0])
    ((tensor,),) = run_isolated(runtime, x, [3], ["y"], row_by_row=False)
    assert tensor.shape == (1,)
    (result,) = run_isolated(runtime, x, [3], ["y"])
    assert "did not answer 3 rows with 3 rows" in str(result)


def test_an_answer_that_breaks_the_signature_is_a_failure():
    runtime = Counted(lambda x: x[:, 0].astype(np.float64))
    (result,) = run_isolated(runtime, {"X": np.zeros((1, 2), np.float32)}, [1], ["y"])
    assert isinstance(result, ModelFailed)
    assert "signature says FP32" in str(result)


def gather() -> Any:
    """Return an ONNX model that looks up rows of a table. It raises on an index beyond the table."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "X"], ["y"], axis=0)],
        "lookup",
        [helper.make_tensor_value_info("X", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(np.arange(4, dtype="f4") * 10, "table")],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    inputs, outputs = (TensorSpec("X", "INT64", (-1,)),), (TensorSpec("y", "FP32", (-1,)),)
    manifest = Manifest(runtime="onnx", file="m", sha256="0" * 64, inputs=inputs, outputs=outputs)
    return load_onnx({"m": content}, manifest, LoadOptions())


@pytest.mark.parametrize("bad", [[9], [0, 33, 63], list(range(64))], ids=["one", "three", "all"])
def test_an_index_beyond_an_onnx_table_concerns_its_own_request_alone(bad):
    x = np.arange(64, dtype="i8") % 4
    x[bad] = 4_000_000
    results = run_isolated(gather(), {"X": x}, [1] * 64, ["y"])
    assert [at for at, result in enumerate(results) if isinstance(result, InputRefused)] == bad
    answers = {at: result[0].tolist() for at, result in enumerate(results) if at not in bad}
    assert answers == {at: [10.0 * (at % 4)] for at in range(64) if at not in bad}


def test_a_nan_that_scikit_learn_refuses_concerns_its_own_request_alone(logistic, cancer):
    spec = TensorSpec("probabilities", "FP32", (-1, 2))
    signature = Signature(
        inputs=(TensorSpec("X", "FP32", (-1, 30)),), outputs=(TensorSpec("label", "INT64", (-1,)), spec)
    )
    runtime = SklearnRuntime(logistic, signature)
    x = cancer[0][:16].copy()
    x[5, 3] = np.nan
    results = run_isolated(runtime, {"X": x}, [1] * 16, ["label", "probabilities"])
    assert [at for at, result in enumerate(results) if isinstance(result, InputRefused)] == [5]
    expected = logistic.predict(cancer[0][:16])
    assert all(results[at][0].tolist() == [expected[at]] for at in range(16) if at != 5)


def signature(inputs: tuple[int, ...], outputs: tuple[int, ...], datatype: str = "FP32") -> Signature:
    return Signature(inputs=(TensorSpec("X", datatype, inputs),), outputs=(TensorSpec("y", datatype, outputs),))


ROW_WISE, WHOLE = signature((-1, 2), (-1, 2)), signature((-1, 2), (2,))


@pytest.mark.parametrize(
    ("model", "described", "batchable"),
    [
        (lambda x: x * 2, ROW_WISE, True),
        (lambda x: np.cumsum(x, axis=1), ROW_WISE, True),
        (
            lambda x: (x.astype("f8") / 3).astype("f4") + np.float32(1e-7) * len(x),
            ROW_WISE,
            True,
        ),  # differs by rounding only
        (lambda x: x * np.nan, ROW_WISE, True),  # NaN only, but for each row by itself
        (lambda x: x - x.mean(axis=0), ROW_WISE, False),
        (lambda x: np.cumsum(x, axis=0), ROW_WISE, False),
        (lambda x: x[::-1].copy(), ROW_WISE, False),
        (lambda x: x + (len(x) > 1), ROW_WISE, False),
        (lambda x: x[:1], ROW_WISE, False),  # another number of rows
        (lambda x: x.repeat(2, axis=0), ROW_WISE, False),
        (lambda x: x.sum(axis=0), WHOLE, False),  # the first dimension of its output is fixed
        (lambda x: x, signature((2, 2), (-1, 2)), False),  # the first dimension of its input is fixed
        (lambda x: x.sum(axis=2), signature((-1, -1, 3), (-1, -1)), True),
        (raising, ROW_WISE, False),
        (lambda x: x + 1, signature((-1,), (-1,), "INT64"), True),
        (lambda x: np.cumsum(x), signature((-1,), (-1,), "INT64"), False),
        (lambda x: x, signature((-1, 1), (-1, 1), "BYTES"), True),
        (lambda x: x[::-1], signature((-1, 1), (-1, 1), "BYTES"), False),
        (lambda x: ~x, signature((-1,), (-1,), "BOOL"), True),
        (lambda x: x, signature((-1, 2), (-1, 2), "BF16"), True),
        (lambda x: x, signature((-1, 2), (-1, 2), "FP16"), True),
    ],
)
def test_only_a_model_that_answers_each_row_as_if_it_were_alone_is_batchable(model, described, batchable):
    assert (not why_unbatched(Counted(model, described), 64)) is batchable


def test_a_model_that_raises_on_one_row_alone_is_not_batchable():
    def at_least_two(x):
        if len(x) < 2:
            raise ModelFailed("too few")
        return x

    assert why_unbatched(Counted(at_least_two, ROW_WISE), 64)


def test_a_scikit_learn_and_an_onnx_model_are_batchable(logistic):
    spec = TensorSpec("probabilities", "FP32", (-1, 2))
    described = Signature(
        inputs=(TensorSpec("X", "FP32", (-1, 30)),), outputs=(TensorSpec("label", "INT64", (-1,)), spec)
    )
    assert not why_unbatched(SklearnRuntime(logistic, described), 64)
    assert not why_unbatched(gather(), 64)
