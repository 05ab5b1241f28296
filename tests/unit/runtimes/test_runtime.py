"""The checks of outputs that all runtimes share."""

import numpy as np
import pytest

from runtimes.datatypes import NUMPY_OF
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Example, Signature, TensorSpec
from runtimes.runtime import check_examples, check_outputs, example_inputs, warm_up

SIGNATURE = Signature(
    inputs=(TensorSpec("X", "FP32", (-1, 3)), TensorSpec("flag", "BOOL", (2,)), TensorSpec("grid", "INT8", (-1, -1))),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("score", "FP32", (-1, 2))),
)


def answer(rows: int, label: str = "i8", score: str = "f4", width: int = 2) -> list[np.ndarray]:
    return [np.zeros(rows, label), np.zeros((rows, width), score)]


class Scripted:
    """A runtime whose outputs are a function of the number of rows."""

    signature = SIGNATURE
    unbatched_because = ""

    def __init__(self, by_rows) -> None:
        self.by_rows = by_rows

    def run(self, inputs, outputs) -> list[np.ndarray]:
        """See `runtimes.runtime.Runtime.run`."""
        assert outputs == ["label", "score"]
        return self.by_rows(len(inputs["X"]))


def test_examples_are_zeros_of_the_declared_kind():
    examples = example_inputs(SIGNATURE, rows=2)
    described = {name: (value.dtype.name, value.shape, value.any()) for name, value in examples.items()}
    assert described == {
        "X": ("float32", (2, 3), False),
        "flag": ("bool", (2,), False),
        "grid": ("int8", (2, 2), False),
    }


@pytest.mark.parametrize("dimensions", [5, 9, 30])
@pytest.mark.parametrize("rows", [1, 2, 16])
def test_examples_of_many_dimensions_that_vary_stay_small(dimensions, rows):
    """16 rows of eight dimensions would be 16 GB."""
    signature = Signature((TensorSpec("X", "FP32", (-1,) * dimensions), TensorSpec("m", "BOOL", (-1, -1))), ())
    examples = example_inputs(signature, rows)
    assert examples["X"].size <= 1 << 20
    assert examples["X"].shape[0] == examples["m"].shape[0] == rows
    assert examples["X"].shape[1] == examples["m"].shape[1]  # which a model may expect to be equal


def test_an_answer_as_declared_passes():
    check_outputs(SIGNATURE.outputs, answer(7))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (answer(2)[:1], "returned 1 outputs; its signature has 2"),
        (answer(2) * 2, "returned 4 outputs"),
        (answer(2, label="i4"), r"label as int32 \[2\]; its signature says INT64 \[-1\]"),
        (answer(2, score="f8"), r"score as float64 \[2, 2\]; its signature says FP32 \[-1, 2\]"),
        (answer(2, score=">f4"), "score as >f4"),
        (answer(2, label="O"), "label as object"),
        (answer(2, label="U3"), "label as <U3"),
        (answer(2, width=3), r"score as float32 \[2, 3\]"),
        (list(reversed(answer(2))), r"label as float32 \[2, 2\]"),
    ],
)
def test_another_answer_is_a_failure(tensors, words):
    with pytest.raises(ModelFailed, match=words):
        check_outputs(SIGNATURE.outputs, tensors)


def test_a_warm_model_answers_one_row_and_two():
    rows_run = []
    warm_up(Scripted(lambda rows: rows_run.append(rows) or answer(rows)))
    assert rows_run == [1, 2]


def test_a_model_that_answers_something_else_for_two_rows_is_refused():
    with pytest.raises(ModelRefused, match=r"does not run as model\.yaml says: The model returned score as"):
        warm_up(Scripted(lambda rows: answer(rows, width=rows + 1)))


def test_a_model_that_raises_is_refused():
    def fail(rows: int) -> list[np.ndarray]:
        raise ModelFailed("scikit-learn: out of cheese")

    with pytest.raises(ModelRefused, match="out of cheese"):
        warm_up(Scripted(fail))


@pytest.mark.parametrize(
    ("spec", "rows", "expected"),
    [
        (TensorSpec("x", "FP32", (-1, 2), example=Example(data=((1, 2),))), 2, [[1, 2], [1, 2]]),
        (TensorSpec("x", "FP32", (-1, 2), example=Example(data=((1, 2), (3, 4), (5, 6)))), 2, [[1, 2], [3, 4]]),
        (TensorSpec("x", "INT64", (), example=Example(data=16000)), 2, 16000),
        (TensorSpec("x", "FP32", (1, -1), example=Example(shape=(1, 3))), 2, [[0, 0, 0]]),
        (TensorSpec("x", "FP32", (-1, -1), example=Example(shape=(1, 3), data=0.5)), 2, [[0.5] * 3] * 2),
        (TensorSpec("x", "BYTES", (-1,), example=Example(data=("7",))), 2, [b"7", b"7"]),
    ],
)
def test_an_example_is_what_the_model_is_tried_with(spec, rows, expected):
    tensor = example_inputs(Signature((spec,), (TensorSpec("y", "FP32", (-1,)),)), rows)["x"]
    assert tensor.tolist() == expected
    assert tensor.dtype == NUMPY_OF[spec.datatype]


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec("x", "FP32", (-1, 2), example=Example(data=((1, 2, 3),))),
        TensorSpec("x", "FP32", (-1, 2), example=Example(data=((1,), (1, 2)))),
        TensorSpec("x", "FP32", (2,), example=Example(data=("a", "b"))),
    ],
)
def test_an_example_that_is_no_input_is_refused(spec):
    with pytest.raises(ModelRefused, match="The example of input x does not fit"):
        check_examples(Signature((spec,), ()))


@pytest.mark.parametrize(
    ("by_rows", "advice"),
    [
        (lambda rows: [np.zeros((rows, 1), "i8"), answer(rows)[1]], "write `shape: [-1, 1]` for label in"),
        (lambda rows: answer(rows, width=5), "write `shape: [-1, 5]` for score in"),
        (lambda rows: answer(rows, width=rows + 1), "write `shape: [-1, -1]` for score in"),
        (lambda rows: answer(rows, score="f8"), "write `datatype: FP64, shape: [-1, 2]` for score in"),
        (
            lambda rows: [np.zeros((rows, 1), "i4"), np.zeros(3, "f4")],
            "write `datatype: INT32, shape: [-1, 1]` for label, `shape: [3]` for score in",
        ),
    ],
)
def test_a_model_that_runs_and_answers_otherwise_is_refused_with_what_to_declare(by_rows, advice):
    with pytest.raises(ModelRefused) as refused:
        warm_up(Scripted(by_rows))
    assert advice in str(refused.value)
    assert "Tried with X = zeros" in str(refused.value)
    assert "example" not in str(refused.value)


def test_a_refusal_says_what_was_tried_and_what_to_write():
    def fail(rows: int) -> list[np.ndarray]:
        raise ModelFailed("scikit-learn: out of cheese")

    runtime = Scripted(fail)
    with pytest.raises(ModelRefused, match=r"Tried with X = zeros \[1, 3\].*example: \{shape:"):
        warm_up(runtime)
