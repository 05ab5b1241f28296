"""A version behind the signature that callers of another one see."""

import numpy as np
import pytest

from registry_sync.version import Version, VersionKey, VersionState
from runtimes.adapted import own_examples
from runtimes.errors import ModelFailed
from runtimes.manifest import Example, Manifest, Signature, TensorSpec
from runtimes.runtime import example_inputs, warm_up


class Knowing:
    """Answers for one city only."""

    unbatched_because = ""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def run(self, inputs, outputs):  # noqa: ARG002  # all of them
        unknown = [city for city in inputs["city"] if city != b"Rome"]
        if unknown:
            raise ModelFailed(f"Found a category that was not in the training set: {unknown}")
        assert inputs["a"].dtype == np.float64
        return [inputs["a"]]


def cities(datatype: str, city: str | None, a: Example | None = None) -> Signature:
    example = None if city is None else Example(data=(city,))
    inputs = (TensorSpec("city", "BYTES", (-1,), example=example), TensorSpec("a", datatype, (-1,), example=a))
    return Signature(inputs, (TensorSpec("y", datatype, (-1,)),))


@pytest.mark.parametrize("is_found", [False, True])
def test_a_model_behind_anothers_signature_is_timed_with_its_own_examples(is_found):
    own, seen = cities("FP64", "Rome", Example(data=(2.5,))), cities("FP32", "Paris", Example(data=(7.0,)))
    declared = cities("FP64", None) if is_found else own  # a runtime may find an example that model.yaml has not
    manifest = Manifest(runtime="onnx", file="f", sha256="0" * 64, inputs=declared.inputs, outputs=declared.outputs)
    version = Version(VersionKey("m", "1", "0" * 64), manifest, VersionState.READY, runtime=Knowing(own)).seen_as(seen)
    warm_up(version.runtime)
    given = example_inputs(version.runtime.signature, rows=2)
    assert (given["a"].dtype, given["a"].tolist()) == (np.float32, [2.5, 2.5])
    assert version.manifest.inputs[0].example == declared.inputs[0].example
    assert version.seen == seen


def test_the_example_of_a_model_behind_anothers_signature_has_the_columns_in_the_order_of_that():
    def signature(*columns: str, data: tuple[object, ...]) -> Signature:
        spec = TensorSpec("x", "FP32", (-1, 2), columns=columns, example=Example(data=data))
        return Signature((spec,), (TensorSpec("y", "FP32", (-1,)),))

    behind = own_examples(signature("a", "b", data=((1, 2),)), signature("b", "a", data=((7, 8),)))
    assert example_inputs(behind)["x"].tolist() == [[2, 1]]
    assert hash(behind)
