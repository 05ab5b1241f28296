"""Logged requests are asked again as they were, or left out; their answers are compared as a shadow's are."""

import time

import numpy as np
import pyarrow as pa
import pytest

from gateway.execution.checking.logged import ask, require_agreement, summary
from gateway.execution.checking.logged_requests import prepare, unlogged_inputs
from gateway.execution.checking.messages import Logged
from gateway.inference.log_bounds import LogBounds
from inference_log.sample import Sample
from runtimes.datatypes import tensor_of_bytes
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Signature, TensorSpec
from tests.support.logged import logged_rows

X = TensorSpec("X", "FP32", (-1, 2))
LABEL, SCORES = TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2))
PLAIN = Signature((X,), (LABEL, SCORES))
ONLY_SCORES = Signature((X,), (SCORES,))
MIXED = Signature(
    (
        TensorSpec("city", "BYTES", (-1,)),
        TensorSpec("age", "INT64", (-1,)),
        TensorSpec("x", "FP64", (-1, 2), columns=("height", "width")),
        TensorSpec("member", "BOOL", (-1,)),
    ),
    (TensorSpec("label", "BYTES", (-1,)),),
)
LOGGED = Logged(log="", route="r", since_s=0.0, until_s=86_400.0, requests=100)


class Model:
    """A runtime that answers with a function."""

    unbatched_because = ""

    def __init__(self, signature, answer) -> None:
        self.signature, self.asked, self._answer = signature, [], answer

    def run(self, inputs, outputs):
        assert list(outputs) == [spec.name for spec in self.signature.outputs]
        self.asked.append(dict(inputs))
        return self._answer(inputs)


def scored(*first: float, label=0):
    """Return an answer whose instances have these values as their first score."""
    scores = np.array([[each, 0.5] for each in first], "f4")
    return np.full(len(first), label), scores


def logged_x(*first: float, signature=PLAIN, outputs=None, **changes):
    """Return the logged rows of a request whose instances have these values as their first feature."""
    values = np.array([[each, 1.0] for each in first], "f4")
    outputs = outputs or scored(*first)[-len(signature.outputs) :]
    return logged_rows(signature, {"X": values}, outputs, instances=len(first), **changes)


def asked(model, *drawn: pa.Table, tolerance=0.0, **changes):
    requests, left_out = prepare(model.signature, drawn)
    return ask(model, requests, Sample(tuple(drawn), len(drawn), 0, is_partial=False), left_out, tolerance, **changes)


def test_a_model_is_asked_what_the_log_holds_and_agrees_with_itself():
    model = Model(PLAIN, lambda inputs: scored(*inputs["X"][:, 0]))
    found = asked(model, logged_x(1.5), logged_x(2.0, np.nan, np.inf))
    assert (found.asked, found.differ, found.mean_difference, found.unanswered) == (2, 0.0, 0.0, 0)
    np.testing.assert_array_equal(model.asked[1]["X"], np.array([[2, 1], [np.nan, 1], [np.inf, 1]], "f4"))
    assert model.asked[1]["X"].dtype == np.float32


def test_a_request_counts_by_the_share_of_its_instances_that_differ():
    """Labels decide where there are any: of four requests, one of two instances differs in one, so 0.5 / 4."""

    def answer(inputs):
        label, scores = scored(*(inputs["X"][:, 0] + 0.25))
        return np.where(inputs["X"][:, 0] > 5, 1, label), scores

    found = asked(Model(PLAIN, answer), logged_x(1.0), logged_x(1.0, 9.0), logged_x(2.0), logged_x(3.0))
    assert (found.asked, found.differ, found.mean_difference) == (4, 0.125, 0.25)


@pytest.mark.parametrize(("tolerance", "share"), [(0.0, 1.0), (0.25, 0.5), (0.5, 0.0)])
def test_without_labels_predictions_differ_by_more_than_the_tolerance(tolerance, share):
    model = Model(ONLY_SCORES, lambda inputs: scored(*(inputs["X"][:, 0] * 1.25))[1:])
    drawn = [logged_x(1.0, signature=ONLY_SCORES), logged_x(2.0, signature=ONLY_SCORES)]
    found = asked(model, *drawn, tolerance=tolerance)
    assert (found.differ, found.mean_difference) == (share, 0.375)


def test_a_model_that_differs_on_all_and_one_that_answers_in_another_shape():
    assert asked(Model(PLAIN, lambda inputs: scored(*inputs["X"][:, 0], label=1)), logged_x(1.0, 2.0)).differ == 1.0
    wide = Model(ONLY_SCORES, lambda inputs: [np.zeros((len(inputs["X"]), 3), "f4")])
    assert asked(wide, logged_x(1.0, signature=ONLY_SCORES)).differ == 1.0


def test_a_request_that_is_not_answered_differs():
    def answer(inputs):
        if inputs["X"][0, 0] > 1:
            raise ModelFailed("No such value.")
        return scored(*inputs["X"][:, 0])

    found = asked(Model(PLAIN, answer), logged_x(1.0), logged_x(2.0), logged_x(3.0), logged_x(0.0))
    assert (found.asked, found.differ, found.unanswered, found.first_failure) == (4, 0.5, 2, "No such value.")
    said = "50 % of 4 logged requests of the last 1d of route r get another answer; 2 of them none (No such value.)"
    assert said in summary(found, LOGGED)


def mixed(city=b"Bern", age=30, **changes):
    inputs = {
        "city": tensor_of_bytes([city], (1,)),
        "age": np.array([age], "i8"),
        "x": np.array([[1.5, np.nan]]),
        "member": np.array([True]),
    }
    return logged_rows(MIXED, inputs, (tensor_of_bytes([b"yes"], (1,)),), **changes)


def test_texts_integers_truth_values_and_missing_values_are_asked_as_they_were():
    model = Model(MIXED, lambda _: [tensor_of_bytes([b"yes"], (1,))])
    found = asked(model, mixed(), mixed(city="Zürich".encode()), mixed(city=b""))
    assert (found.asked, found.differ, found.mean_difference) == (3, 0.0, None)
    given = model.asked[0]
    np.testing.assert_array_equal(given["x"], [[1.5, np.nan]])
    assert (given["age"].tolist(), given["age"].dtype, given["member"].tolist()) == ([30], np.int64, [True])
    assert [each["city"].tolist() for each in model.asked] == [[b"Bern"], ["Zürich".encode()], [b""]]


def test_columns_in_another_order_are_asked_by_their_names():
    swapped = Signature(
        tuple(
            TensorSpec("x", "FP32", (-1, 2), columns=("width", "height")) if spec.name == "x" else spec
            for spec in MIXED.inputs[::-1]
        ),
        MIXED.outputs,
    )
    model = Model(swapped, lambda _: [tensor_of_bytes([b"no"], (1,))])
    found = asked(model, mixed())
    assert found.differ == 1.0
    np.testing.assert_array_equal(model.asked[0]["x"], np.array([[np.nan, 1.5]], "f4"))


OTHER = Signature((TensorSpec("Z", "FP32", (-1, 2)),), (LABEL, SCORES))
WIDER = Signature((TensorSpec("X", "FP32", (-1, 3)),), (LABEL, SCORES))
INTEGERS = Signature((TensorSpec("X", "INT8", (-1, 2)),), (LABEL, SCORES))
HALF = Signature((TensorSpec("X", "FP16", (-1, 2)),), (LABEL, SCORES))
ONE = Signature((TensorSpec("X", "FP32", (1, 2)),), (TensorSpec("label", "INT64", (1,)),))


@pytest.mark.parametrize(
    ("signature", "rows", "why"),
    [
        (OTHER, logged_x(1.0), "of another signature"),
        (WIDER, logged_x(1.0), "of another signature"),
        (ONLY_SCORES, logged_x(1.0), "of another signature"),
        (PLAIN, logged_x(1.0, signature=ONLY_SCORES), "of another signature"),
        (PLAIN, mixed(), "of another signature"),
        (ONE, logged_x(1.0, 2.0), "with several instances"),
        (INTEGERS, logged_x(0.5), "with a value that does not fit"),
        (INTEGERS, logged_x(300.0), "with a value that does not fit"),
        (INTEGERS, logged_x(np.nan), "with a value that does not fit"),
        (HALF, logged_x(1e6), "with a value that does not fit"),
        (MIXED, mixed(age=2**53), "with a value that does not fit"),
        (MIXED, mixed(city=b"x" * 256), "with a text that was cut"),
        (MIXED, mixed(city=("x" * 255 + "ü").encode()), "with a text that was cut"),
        (MIXED, mixed(city=b"\xff"), "with a text that was cut"),
        (PLAIN, logged_x(*[1.0] * 5, bounds=LogBounds(max_instances=3)), "in part"),
        (PLAIN, logged_x(1.0, bounds=LogBounds(max_bytes=0)), "in part"),
        (MIXED, mixed(city=b"x" * 100, bounds=LogBounds(max_bytes=180)), "of another signature"),
    ],
)  # fmt: skip
def test_what_the_log_does_not_hold_whole_and_exactly_is_left_out(signature, rows, why):
    requests, left_out = prepare(signature, [rows, rows])
    assert (requests, dict(left_out)) == ([], {why: 2})


def test_requests_of_many_features_are_read_in_little_time():
    """The order of 4,096 names is not searched for each of them, which took 0.6 s a request."""
    wide = Signature((TensorSpec("X", "FP32", (-1, 4096)),), (LABEL, SCORES))
    values = np.arange(4096, dtype="f4").reshape(1, -1)
    rows = logged_rows(wide, {"X": values}, scored(1.0))
    began_s = time.monotonic()
    requests, left_out = prepare(wide, [rows] * 100)
    assert time.monotonic() - began_s < 20
    assert (len(requests), dict(left_out)) == (100, {})
    np.testing.assert_array_equal(requests[0].inputs["X"], values)


def test_the_inputs_that_the_log_never_keeps_are_named():
    image = TensorSpec("image", "UINT8", (-1, 64, 65))
    table = TensorSpec("words", "BYTES", (-1, 3))
    assert unlogged_inputs(Signature((X, image, table), (LABEL,))) == ["image", "words"]
    assert unlogged_inputs(MIXED) == []


def test_asking_ends_in_time_and_what_was_not_asked_is_said():
    now = iter(range(0, 1000, 12))
    found = asked(
        Model(PLAIN, lambda inputs: scored(*inputs["X"][:, 0])), *[logged_x(1.0)] * 9, clock=lambda: float(next(now))
    )
    assert (found.asked, found.sampled) == (2, 9)
    assert "7 not asked within 30 s" in summary(found, LOGGED)


def test_what_is_said_when_there_is_nothing_to_ask():
    model = Model(PLAIN, lambda inputs: scored(*inputs["X"][:, 0]))
    assert summary(asked(model), LOGGED) == "no logged requests of the last 1d of route r: skipped"
    none = asked(model, mixed(), mixed())
    assert summary(none, LOGGED) == (
        "none of 2 logged requests of the last 1d of route r can be asked again; 2 left out: of another signature"
    )
    require_agreement(none, Logged(log="", route="r", since_s=0, until_s=1, requests=1, above=0.0))


@pytest.mark.parametrize(("above", "is_refused"), [(None, False), (0.5, False), (0.49, True), (0.0, True)])
def test_a_version_that_differs_more_often_than_allowed_is_refused(above, is_refused):
    model = Model(PLAIN, lambda inputs: scored(*inputs["X"][:, 0], label=int(inputs["X"][0, 0])))
    found = asked(model, logged_x(0.0), logged_x(1.0))
    logged = Logged(log="", route="r", since_s=0, until_s=time.time(), requests=2, above=above)
    if is_refused:
        with pytest.raises(ModelRefused, match=f"at most {100 * above:g} % may: 50 % of 2 logged requests"):
            require_agreement(found, logged)
    else:
        require_agreement(found, logged)
