"""Which outputs the log keeps. What it does not keep, no guardrail can see."""

from collections.abc import Sequence

import pytest

from gateway.control.constants import constant_version
from gateway.inference.log_context import log_context, logged_outputs
from inference_log.record import Context
from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare
from router.spec.parse import parse_spec
from router.spec.value import parse_arm
from runtimes.logged_tensors import MAX_LOGGED_TEXTS, logged_inputs
from runtimes.manifest import Manifest, Signature, TensorSpec

DIGEST = "0" * 64
Output = tuple[str, Sequence[int]]


def context_of(batch: int, *outputs: Output) -> Context:
    """Return the context of a model with one input of `batch` rows and these outputs, by datatype and shape."""
    specs = tuple(TensorSpec(f"y{at}", kind, tuple(shape)) for at, (kind, shape) in enumerate(outputs))
    manifest = Manifest(
        runtime="onnx", file="m", sha256=DIGEST, inputs=(TensorSpec("x", "FP32", (batch, 8)),), outputs=specs
    )
    document = apply(None, Declare(parse_spec({"route": "r", "arms": {"a": "m:1"}, "split": {"a": "100%"}})))
    route = compile_route(document, {"a": Pin("1", DIGEST)})
    return log_context(route, route.arms[0], manifest, "primary", "hash")


@pytest.mark.parametrize(
    ("batch", "outputs", "label", "prediction"),
    [
        (-1, [("INT64", [-1]), ("FP32", [-1, 2])], (0, "<i8"), (1, "<f4")),
        (-1, [("FP32", [-1, 2]), ("BYTES", [-1])], (1, "|O"), (0, "<f4")),
        # Exported for batch 1.
        (1, [("FP32", [1, 3])], None, (0, "<f4")),
        (1, [("INT64", [1]), ("FP32", [1, 2])], (0, "<i8"), (1, "<f4")),
        (1, [("INT64", [1, 1])], (0, "<i8"), None),
        (1, [("BYTES", [1, 1])], (0, "|O"), None),
        (1, [("FP32", [10])], None, (0, "<f4")),
        (4, [("FP32", [4, 3])], None, (0, "<f4")),
        # Integers and strings that are not [-1].
        (-1, [("INT32", [-1, 1])], (0, "<i4"), None),
        (-1, [("INT64", [-1, 5])], None, (0, "<i8")),
        (-1, [("INT64", [-1, -1])], None, (0, "<i8")),
        (1, [("INT64", [1, 5])], None, (0, "<i8")),
        (-1, [("BYTES", [-1, 2])], (0, "|O"), None),
        # Beside a label or a prediction they are not needed.
        (-1, [("INT64", [-1, 5]), ("FP32", [-1, 2])], None, (1, "<f4")),
        # There is one answer to all of the input: a request is one instance.
        (-1, [("FP32", [3])], None, (0, "<f4")),
        (-1, [("INT64", [3, 2])], None, (0, "<i8")),
    ],
)
def test_the_log_keeps_what_guardrails_look_at(batch, outputs, label, prediction):
    context = context_of(batch, *outputs)
    assert (context.label, context.prediction) == (label, prediction)
    assert logged_outputs(context) == tuple(sorted(each[0] for each in (label, prediction) if each is not None))


def context_with(*specs: TensorSpec, inputs: Sequence[TensorSpec] = (TensorSpec("x", "FP32", (-1, 2)),), batch=0):
    manifest = Manifest(
        runtime="onnx", file="m", sha256=DIGEST, inputs=tuple(inputs), outputs=specs or (Y,), batch=batch
    )
    document = apply(None, Declare(parse_spec({"route": "r", "arms": {"a": "m:1"}, "split": {"a": "100%"}})))
    route = compile_route(document, {"a": Pin("1", DIGEST)})
    return log_context(route, route.arms[0], manifest, "primary", "hash")


Y = TensorSpec("y", "FP32", (-1,))
SCORE = TensorSpec("score", "FP32", (-1, 1))


@pytest.mark.parametrize(
    ("outputs", "label", "prediction"),
    [
        ([TensorSpec("n", "INT64", (-1,)), TensorSpec("label", "BYTES", (-1,)), Y], (1, "|O"), (2, "<f4")),
        ([SCORE, TensorSpec("probabilities", "FP64", (-1, 2))], None, (1, "<f8")),
        ([SCORE, TensorSpec("prediction", "FP64", (-1,))], None, (1, "<f8")),
        ([TensorSpec("prediction", "FP64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2))], None, (1, "<f4")),
        ([SCORE, TensorSpec("outlier", "BOOL", (-1,))], (1, "|b1"), (0, "<f4")),
        ([TensorSpec("label", "FP32", (-1,))], None, (0, "<f4")),
        ([TensorSpec("prediction", "FP32", (-1, 5))], None, (0, "<f4")),
        ([TensorSpec("label", "INT64", (-1, 3)), SCORE], None, (1, "<f4")),
    ],
)
def test_names_decide_which_output_is_the_label_and_which_the_prediction(outputs, label, prediction):
    context = context_with(*outputs)
    assert (context.label, context.prediction) == (label, prediction)


def test_one_input_per_column_is_logged_by_name():
    inputs = (
        TensorSpec("sex", "BYTES", (-1,)),
        TensorSpec("age", "FP64", (-1,)),
        TensorSpec("town", "BYTES", (-1, 1)),
        TensorSpec("visits", "INT64", (-1, 1)),
        TensorSpec("member", "BOOL", (-1,)),
        TensorSpec("words", "BYTES", (-1, 5)),
        TensorSpec("note", "BYTES", (-1, -1)),
    )
    context = context_with(inputs=inputs)
    assert (context.features, context.inputs) == (("age", "visits", "member"), ("<f8", "<i8", "|b1"))
    assert context.categories == ("sex", "town")
    signature = Signature(inputs, (Y,))
    assert [spec.name for spec in logged_inputs(signature)] == ["age", "visits", "member", "sex", "town"]


def test_a_request_that_is_one_instance_is_one_row():
    inputs = (
        TensorSpec("wave", "FP32", (-1,)),
        TensorSpec("rate", "INT64", ()),
        TensorSpec("size", "FP32", (2,), ("w", "h")),
        TensorSpec("kind", "BYTES", ()),
    )
    context = context_with(TensorSpec("y", "FP32", (-1,)), TensorSpec("end", "BOOL", ()), inputs=inputs, batch="none")
    assert (context.features, context.categories) == (("rate", "w", "h"), ("kind",))
    assert (context.label, context.prediction) == ((1, "|b1"), (0, "<f4"))


def test_no_more_texts_are_logged_than_the_limit():
    inputs = [TensorSpec(f"t{at}", "BYTES", (-1,)) for at in range(MAX_LOGGED_TEXTS + 5)]
    assert len(context_with(inputs=inputs).categories) == MAX_LOGGED_TEXTS


def test_of_an_arm_without_a_model_the_log_keeps_the_whole_value():
    version = constant_version(parse_arm({"value": {"columns": 2, "layout": "narrow"}}, "An arm"))
    document = apply(None, Declare(parse_spec({"route": "r", "arms": {"a": "m:1"}, "split": {"a": "100%"}})))
    route = compile_route(document, {"a": Pin("1", DIGEST)})

    def logged(manifest: Manifest) -> tuple[object, object]:
        context = log_context(route, route.arms[0], manifest, "primary", "hash")
        return context.label, context.prediction

    assert logged(version.manifest) == ((0, "|O"), None)
    outputs = TensorSpec("columns", "INT64", (-1,)), TensorSpec("layout", "BYTES", (-1,))
    beside_a_model = version.seen_as(Signature((TensorSpec("x", "FP32", (-1,)),), outputs))
    assert logged(beside_a_model.manifest) == ((0, "<i8"), None)
