"""Which outputs the log keeps. What it does not keep, no guardrail can see."""

from collections.abc import Sequence

import pytest

from gateway.inference.log_context import log_context, logged_outputs
from inference_log.record import Context
from router.document.commands import Declare, apply
from router.snapshot import Pin, compile_route
from router.spec.parse import parse_spec
from runtimes.manifest import Manifest, TensorSpec

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
