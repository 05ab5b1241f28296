"""Golden requests that are made out of what a model answers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from registry_sync.publish.make_golden import MOST_BYTES, make_golden
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed
from runtimes.golden import RELATIVE, golden_requests, replay
from runtimes.manifest import Example, Signature, TensorSpec


class Doubling:
    """Answers with twice its input; `odd` changes the answers."""

    unbatched_because = ""

    def __init__(self, spec: TensorSpec, odd: str = "") -> None:
        self.signature = Signature((spec,), (TensorSpec("y", spec.datatype, spec.shape),))
        self._odd = odd
        self._runs = 0

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:  # noqa: ARG002  # all
        self._runs += 1
        x = inputs["x"]
        if self._odd == "random":
            return [x * 0 + self._runs]
        if self._odd == "picky" and not np.any(x):
            raise ModelFailed("zeros")
        return [np.where(x > 0, np.inf, np.nan).astype(x.dtype) if self._odd == "unfit" else x * 2]


def made(spec: TensorSpec, odd: str = "", **examples: Tensor) -> tuple[list[np.ndarray], str]:
    runtime = Doubling(spec, odd)
    content, count, why = make_golden(runtime, examples)
    requests = golden_requests(content) if content else []
    assert len(requests) == count
    if content:
        assert replay(Doubling(spec, odd), content) == count
    return [np.array(request.inputs[0].data).reshape(request.inputs[0].shape) for request in requests], why


@pytest.mark.parametrize("shape", [(-1, 2), (1, 2), ()])
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "BF16", "INT64", "UINT8"])
def test_without_an_example_zeros_and_other_values_are_asked(datatype, shape):
    (zeros, others), why = made(TensorSpec("x", datatype, shape))
    assert why == ""
    assert not zeros.any()
    assert others.any() or not shape


def test_an_example_of_a_shape_alone_gets_values_too():
    zeros, others = made(TensorSpec("x", "FP32", (-1, 3, -1), example=Example((1, 3, 4))))[0]
    assert (zeros.shape, others.shape) == ((1, 3, 4), (2, 3, 4))
    assert others.any()


def test_an_example_with_values_is_asked_alone():
    (given,), _ = made(TensorSpec("x", "FP32", (-1, 2), example=Example(data=((1.0, 2.0),))))
    assert given.tolist() == [[1, 2]]


def test_the_example_that_came_with_the_model_is_asked_if_it_fits():
    spec = TensorSpec("x", "FP32", (-1, 2))
    (given,), _ = made(spec, x=np.array([[5, 6]], np.float32))
    assert given.tolist() == [[5, 6]]
    assert len(made(spec, x=np.array([[5, 6]], np.float64))[0]) == 2
    assert len(made(spec, x=np.array([5, 6], np.float32))[0]) == 2


def test_what_the_model_does_not_answer_is_left_out():
    (others,), why = made(TensorSpec("x", "FP32", (-1, 2)), "picky")
    assert others.any()
    assert why == ""


def test_nan_and_infinities_are_compared():
    requests, why = made(TensorSpec("x", "FP32", (-1, 2)), "unfit")
    assert len(requests) == 2
    assert why == ""


def test_random_answers_make_none():
    assert "does not answer the same request twice" in made(TensorSpec("x", "FP32", (-1, 2)), "random")[1]


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32"])
def test_half_precision_is_compared_with_wider_tolerances(datatype):
    content, _, _ = make_golden(Doubling(TensorSpec("x", datatype, (-1, 2))), {})
    assert {each.relative for each in golden_requests(content)} == {RELATIVE if datatype == "FP32" else 0.02}


def test_a_large_request_makes_none():
    requests, why = made(TensorSpec("x", "FP32", (-1, MOST_BYTES)))
    assert requests == []
    assert "more than 256 KiB" in why
