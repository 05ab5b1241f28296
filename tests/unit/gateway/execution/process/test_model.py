"""What a process says of its model, which is not trusted."""

from types import SimpleNamespace

import pytest

from gateway.execution.process.model import BlockingModel
from runtimes.errors import ModelRefused
from runtimes.manifest import Example, Signature, TensorSpec

OUTPUTS = (TensorSpec("y", "FP32", (-1,)),)


def seen_by(example: Example, *inputs: TensorSpec) -> Signature:
    """Return the signature with an example of each input that a process sends."""
    child = SimpleNamespace(examples=dict.fromkeys("abc", example))
    return BlockingModel(child, Signature(inputs or (TensorSpec("a", "FP32", (-1, 4)),), OUTPUTS)).signature


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (Example(shape=(1 << 24, 4), data=1.0), "more than 1048576 elements in all"),
        (Example(shape=(1, 3)), "does not fit"),
        (Example(data=(("a", "b", "c", "d"),)), "does not fit"),
        (Example(data=((1.0, 2.0), (1.0,))), "does not fit"),
        (Example(shape=(1 << 16, 4), data="9" * (1 << 16) + "x"), "does not fit"),
    ],
)
def test_an_example_that_is_large_or_no_input_is_refused(example, words):
    with pytest.raises(ModelRefused, match=words):
        seen_by(example)


def test_the_examples_of_all_inputs_count_together():
    inputs = tuple(TensorSpec(name, "FP32", (-1,)) for name in "abc")
    assert all(spec.example for spec in seen_by(Example(shape=(1 << 18,)), *inputs).inputs)
    with pytest.raises(ModelRefused, match="more than 1048576 elements in all"):
        seen_by(Example(shape=(1 << 19,)), *inputs)


def test_an_example_of_the_manifest_stays():
    own = Example(data=((1.0, 2.0, 3.0, 4.0),))
    assert seen_by(Example(shape=(1, 4)), TensorSpec("a", "FP32", (-1, 4), example=own)).inputs[0].example == own
