"""A model behind another signature than its own: datatypes, and one instance at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.adapted import AdaptedRuntime, adapt, difference
from runtimes.batching import why_unbatched
from runtimes.errors import ModelFailed
from runtimes.manifest import Signature, TensorSpec

OWN = Signature((TensorSpec("x", "FP32", (1, 2)),), (TensorSpec("y", "FP32", (1,)), TensorSpec("n", "INT64", (1,))))
SEEN = Signature((TensorSpec("x", "FP64", (-1, 2)),), (TensorSpec("y", "FP64", (-1,)), TensorSpec("n", "INT64", (-1,))))


class Single:
    """Sums the two numbers of one instance, and counts its calls."""

    unbatched_because = ""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.calls = 0

    def run(self, inputs, outputs):
        (x,) = inputs.values()
        assert (x.dtype, x.shape) == (np.float32, (1, 2))
        self.calls += 1
        answers = {"y": x.sum(axis=1), "n": np.array([self.calls])}
        return [answers[name] for name in outputs]


@given(st.lists(st.tuples(*[st.floats(-100, 100, width=32)] * 2), min_size=1, max_size=9))
def test_instances_are_run_one_after_the_other(rows):
    runtime = adapt(Single(OWN), SEEN)
    order, total = runtime.run({"x": np.array(rows, np.float64)}, ["n", "y"])
    assert order.tolist() == list(range(1, len(rows) + 1))
    assert total.dtype == np.float64
    np.testing.assert_allclose(total, np.float32(rows).sum(axis=1))


def test_a_request_without_instances_is_refused():
    with pytest.raises(ModelFailed, match="one instance at a time"):
        adapt(Single(OWN), SEEN).run({"x": np.zeros((0, 2))}, ["y"])


def test_requests_to_a_model_of_one_instance_are_not_merged():
    assert why_unbatched(adapt(Single(OWN), SEEN), 64) == "the model takes one instance at a time"


def test_a_model_with_the_same_signature_is_left_alone():
    model = Single(OWN)
    described = Signature((TensorSpec("x", "FP32", (1, 2), columns=("a", "b")),), OWN.outputs)
    assert adapt(model, described) is model
    assert isinstance(adapt(model, SEEN), AdaptedRuntime)


def spec(*change: object) -> Signature:
    return Signature((TensorSpec("x", *change),), OWN.outputs)


@pytest.mark.parametrize(
    ("own", "seen", "clause"),
    [
        (OWN, OWN, ""),
        (OWN, SEEN, ""),
        (SEEN, OWN, "x is FP64 [-1, 2] and not FP32 [1, 2]"),
        (OWN, spec("FP32", (1, 3)), "its input x is FP32 [1, 2] and not FP32 [1, 3]"),
        (OWN, spec("INT32", (1, 2)), "its input x is FP32 [1, 2] and not INT32 [1, 2]"),
        (OWN, spec("BF16", (1, 2)), ""),
        (OWN, Signature((TensorSpec("z", "FP32", (1, 2)),), OWN.outputs), "it has the inputs x and not z"),
        (OWN, Signature(OWN.inputs, OWN.outputs[:1]), "it has the outputs n, y and not y"),
        (OWN, Signature(SEEN.inputs, OWN.outputs), "its input x is FP32 [1, 2] and not FP64 [-1, 2]"),
    ],
)
def test_what_callers_would_see_is_named(own, seen, clause):
    assert clause in difference(own, seen)
    assert bool(difference(own, seen)) is bool(clause)


def test_the_runs_of_a_model_behind_another_signature_can_be_broken_off():
    class Limited(Single):
        def limited(self, limit_s):
            self.limit_s = limit_s
            return self

    inner = Limited(OWN)
    adapted = adapt(inner, SEEN)
    assert adapted.limited(3.0).signature == SEEN
    assert inner.limit_s == 3.0
    assert adapt(Single(OWN), SEEN).limited(3.0).signature == SEEN


class Weighing:
    """Answers 1 times the first column plus 10 times the second, and a probability for each of its classes."""

    unbatched_because = ""

    def __init__(self, columns: tuple[str, ...], classes: tuple[str, ...]) -> None:
        self.signature = of_columns(columns, classes)

    def run(self, inputs, outputs):
        answers = {"y": inputs["x"] @ np.array([1.0, 10.0]), "p": np.stack([inputs["x"][:, 0], inputs["x"][:, 1]], 1)}
        return [answers[name] for name in outputs]


def of_columns(columns: tuple[str, ...], classes: tuple[str, ...]) -> Signature:
    outputs = (TensorSpec("y", "FP64", (-1,)), TensorSpec("p", "FP64", (-1, 2), classes))
    return Signature((TensorSpec("x", "FP64", (-1, 2), columns),), outputs)


def test_columns_of_another_order_are_put_right():
    """A caller who sends columns by name, or reads classes by name, must not notice which arm answered."""
    own, seen = of_columns(("age", "pay"), ("no", "yes")), of_columns(("pay", "age"), ("yes", "no"))
    assert difference(own, seen) == ""
    total, classes = adapt(Weighing(("age", "pay"), ("no", "yes")), seen).run({"x": np.array([[3.0, 4.0]])}, ["y", "p"])
    assert total.tolist() == [4.0 + 30.0]
    assert classes.tolist() == [[3.0, 4.0]]  # the model's own are no = 4, yes = 3


def test_columns_of_other_names_are_named():
    own, seen = of_columns(("age", "pay"), ()), of_columns(("age", "height"), ())
    assert difference(own, seen) == "its input x has other columns: height, pay are on one side only"
    assert difference(of_columns((), ()), seen) == ""


def test_a_number_that_the_model_cannot_take_is_no_infinity():
    with pytest.raises(ModelFailed, match="Input x has a number that is too large for float32"):
        adapt(Single(OWN), SEEN).run({"x": np.array([[1e39, 0.0]])}, ["y"])
    (total,) = adapt(Single(OWN), SEEN).run({"x": np.array([[np.inf, 0.0]])}, ["y"])
    assert np.isinf(total[0])


def test_an_instance_that_is_answered_with_two_rows_is_a_failure():
    class Doubled(Single):
        def run(self, inputs, outputs):
            return [np.concatenate([each, each]) for each in super().run(inputs, outputs)]

    with pytest.raises(ModelFailed, match="more or fewer rows than one"):
        adapt(Doubled(OWN), SEEN).run({"x": np.zeros((2, 2))}, ["y"])
