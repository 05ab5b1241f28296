"""The outputs that are sent, their order and form, and requests that are rejected before a model runs."""

import json
from typing import Any

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.request import RequestedOutput
from gateway.protocols.v2_http import decode
from runtimes.manifest import TensorSpec
from tests.unit.gateway.protocols.support import binary_body, signature

OUTPUTS = (
    TensorSpec("label", "BYTES", (-1,)),
    TensorSpec("scores", "FP32", (-1, 3), ("a", "b", "c")),
    TensorSpec("half", "FP16", (-1, 3)),
    TensorSpec("brain", "BF16", (-1,)),
    TensorSpec("sure", "BOOL", (-1,)),
)
TENSOR = {"name": "X", "shape": [1, 1], "datatype": "FP32", "data": [1]}
INPUT = TensorSpec("X", "FP32", (-1, 1))


def requested(outputs: Any = None, specs: tuple[TensorSpec, ...] = OUTPUTS, **parameters: Any) -> Any:
    """Return the requested outputs. A JSON and a binary request must give the same."""
    more = {"outputs": outputs, "parameters": parameters}
    body = json.dumps({"inputs": [TENSOR], **more}).encode()
    as_json = decode(body, None, signature(INPUT, outputs=specs)).outputs
    as_binary = decode(
        *binary_body({"X": np.ones((1, 1), np.float32)}, **more), signature(INPUT, outputs=specs)
    ).outputs
    assert as_json == as_binary
    return as_json


def refusal(*arguments: Any, **more: Any) -> str:
    with pytest.raises(BadRequest) as refused:
        requested(*arguments, **more)
    assert str(refused.value).endswith(".")
    return str(refused.value)


@pytest.mark.parametrize("outputs", [None, []])
def test_no_requested_outputs_means_all_as_json(outputs):
    assert requested(outputs, OUTPUTS[:2]) is None
    assert requested(outputs, OUTPUTS[:2], binary_data_output=False) is None


@pytest.mark.parametrize("outputs", [None, []])
def test_binary_data_output_means_all_as_bytes(outputs):
    assert requested(outputs, binary_data_output=True) == [RequestedOutput(spec.name, binary=True) for spec in OUTPUTS]


def test_requested_outputs_keep_their_order():
    assert requested([{"name": "scores"}, {"name": "label"}]) == [RequestedOutput("scores"), RequestedOutput("label")]


@pytest.mark.parametrize("by_default", [True, False])
@pytest.mark.parametrize("parameters", [{}, {"binary_data": True}, {"binary_data": False}])
def test_an_output_s_own_parameter_wins(by_default, parameters):
    (output,) = requested([{"name": "scores", "parameters": parameters}], binary_data_output=by_default)
    assert output == RequestedOutput("scores", parameters.get("binary_data", by_default))


def test_a_classification_is_bytes_and_so_may_be_json_whatever_the_output_is():
    outputs = [{"name": name, "parameters": {"classification": 2}} for name in ("scores", "half", "brain")]
    assert requested(outputs) == [RequestedOutput(name, False, 2) for name in ("scores", "half", "brain")]


@pytest.mark.parametrize(
    ("outputs", "parameters", "sentence"),
    [
        (
            [{"name": "nothing"}],
            {},
            "The model has no output 'nothing'; its outputs are label, scores, half, brain, sure",
        ),
        ([{"name": "label"}, {"name": "label"}], {}, "An output is requested twice"),
        (None, {}, "Output half is FP16, which JSON cannot carry; ask for it with binary_data: true"),
        ([{"name": "half"}], {}, "Output half is FP16"),
        ([{"name": "brain"}], {}, "Output brain is BF16"),
        (
            [{"name": "brain", "parameters": {"binary_data": False}}],
            {"binary_data_output": True},
            "Output brain is BF16",
        ),
        (None, {"binary_data_output": 1}, "Parameter binary_data_output is 1; it must be true or false"),
        (
            [{"name": "label", "parameters": {"binary_data": "yes"}}],
            {},
            "binary_data is 'yes'; it must be true or false",
        ),
        ([{"name": "scores", "parameters": {"classification": 0}}], {}, "classification is 0"),
        ([{"name": "scores", "parameters": {"classification": -1}}], {}, "it must be a whole number from 1"),
        ([{"name": "scores", "parameters": {"classification": 1.0}}], {}, "classification is 1.0"),
        ([{"name": "scores", "parameters": {"classification": True}}], {}, "classification is True"),
        ([{"name": "label", "parameters": {"classification": 1}}], {}, "Output label is BYTES, which cannot"),
        ([{"name": "sure", "parameters": {"classification": 1}}], {}, "Output sure is BOOL, which cannot"),
        ([{"name": "scores", "parameters": {"shared_memory_region": "r"}}], {}, "Tensor scores is in shared memory"),
        ([{"name": "scores", "parameters": {"classification": None}}], {}, "got `null`"),
        ([{}], {}, "missing required field `name`"),
        ({}, {}, "Expected `array | null`, got `object`"),
    ],
)
def test_outputs_that_cannot_be_sent_are_refused_with_a_sentence(outputs, parameters, sentence):
    assert sentence in refusal(outputs, **parameters)
