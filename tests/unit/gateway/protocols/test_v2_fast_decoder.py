"""The fast decoder reads what the general one reads, bit for bit, and leaves everything else to it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.protocols.tensor_json import CODE_OF
from gateway.protocols.v2_fast_decoder import fast_decoder
from gateway.protocols.v2_http import decode
from runtimes.manifest import TensorSpec
from tests.unit.gateway.protocols.support import binary_body, signature

ONE = signature(TensorSpec("X", "FP32", (-1, 2)))
TENSOR = {"name": "X", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
X = np.array([[1, 2], [3, 4]], np.float32)
NESTED = {**TENSOR, "data": [[1, 2], [3, 4]]}


def read_generally(content, given_signature):
    """Return the request from the general decoder. A tensor with an unknown parameter is left to it."""
    body = json.loads(content)
    for tensor in body["inputs"]:
        tensor.setdefault("parameters", {})["anything"] = 1
    return decode(json.dumps(body).encode(), None, given_signature)


@pytest.mark.parametrize(
    "more", [{}, {"id": "i"}, {"parameters": {"a": 1}}, {"outputs": [{"name": "y"}]}, {"other": [{}]}]
)
@pytest.mark.parametrize(
    "tensor", [TENSOR, NESTED, {**TENSOR, "shape": [0, 2], "data": []}], ids=["flat", "nested", "empty"]
)
def test_the_usual_request_is_read_alike(tensor, more):
    content = json.dumps({"inputs": [tensor], **more}).encode()
    fast, general = fast_decoder(ONE).from_json(content), read_generally(content, ONE)
    np.testing.assert_array_equal(fast.inputs["X"], general.inputs["X"], strict=True)
    assert fast._replace(inputs={}) == general._replace(inputs={})


@pytest.mark.parametrize("datatype", CODE_OF)
def test_every_number_is_read_alike(datatype):
    data = [True, False] if datatype == "BOOL" else [1, 100]
    content = json.dumps({"inputs": [{"name": "X", "shape": [2], "datatype": datatype, "data": data}]}).encode()
    given_signature = signature(TensorSpec("X", datatype, (-1,)))
    fast, general = fast_decoder(given_signature).from_json(content), read_generally(content, given_signature)
    np.testing.assert_array_equal(fast.inputs["X"], general.inputs["X"], strict=True)


def test_a_dimension_that_does_not_vary_is_no_batch():
    fixed = fast_decoder(signature(TensorSpec("X", "FP32", (2, 2))))
    assert fixed.from_json(json.dumps({"inputs": [TENSOR]}).encode()).batch_size == 1
    assert fixed.from_binary(*binary_body({"X": X})).batch_size == 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Y"},
        {"datatype": "FP64"},
        {"shape": [2, 3]},
        {"shape": [4]},
        {"shape": [-2, 2]},
        {"shape": [2.0, 2]},
        {"shape": [2, 2, 1]},
        {"data": [1, 2, 3]},
        {"data": [1, 2, 3, 4, 5]},
        {"data": [[1, 2], [3]]},
        {"data": [[1, 2, 3, 4]]},
        {"data": [[1], [2], [3], [4]]},
        {"data": [1, 2, 3, True]},
        {"data": [1, 2, 3, "4"]},
        {"data": [1, 2, 3, None]},
        {"data": [1, 2, 3, 1e39]},
        {"data": [[[1, 2], [3, 4]]]},
        {"data": [[1]], "shape": [0, 2]},
        {"data": [[1], [1, 2]], "shape": [0, 2]},
        {"data": [], "shape": [2, 2]},
        {"data": 1},
        {"parameters": {"binary_data_size": 16}},
        {"parameters": {"a": None}},
    ],
)
def test_every_other_json_body_is_left_to_the_general_decoder(change):
    assert fast_decoder(ONE).from_json(json.dumps({"inputs": [{**TENSOR, **change}]}).encode()) is None


@pytest.mark.parametrize(
    "specs",
    [
        (TensorSpec("X", "BYTES", (-1,)),),
        (TensorSpec("X", "FP16", (-1,)),),
        (TensorSpec("X", "FP32", ()),),
        (TensorSpec("X", "FP32", (-1,)), TensorSpec("Y", "FP32", (-1,))),
    ],
)
def test_unusual_signatures_have_no_fast_decoder(specs):
    assert fast_decoder(signature(*specs)) is None


def test_outputs_that_json_cannot_carry_are_refused():
    given_signature = signature(*ONE.inputs, outputs=[TensorSpec("y", "FP16", (-1,))])
    with pytest.raises(BadRequest, match="Output y is FP16"):
        fast_decoder(given_signature).from_json(json.dumps({"inputs": [TENSOR]}).encode())


@pytest.mark.parametrize(
    "more", [{}, {"id": "i"}, {"parameters": {"binary_data_output": True}}, {"outputs": [{"name": "y"}]}]
)
@pytest.mark.parametrize("padding", range(4))
@pytest.mark.parametrize("array", [X, X[:0]], ids=["full", "empty"])
def test_one_binary_tensor_is_read_alike(array, more, padding):
    body, header_length = binary_body({"X": array}, other="x" * padding, **more)
    both = {"inputs": [{**TENSOR, "shape": array.shape, "data": array.tolist()}], **more}
    for content in (body, memoryview(body)):
        fast = fast_decoder(ONE).from_binary(content, header_length)
        np.testing.assert_array_equal(fast.inputs["X"], array, strict=True)
        assert fast.inputs["X"].flags.aligned
        assert fast._replace(inputs={}) == read_generally(json.dumps(both), ONE)._replace(inputs={})


@pytest.mark.parametrize(
    ("change", "rest"),
    [
        ({"name": "Y"}, bytes(16)),
        ({"datatype": "FP64"}, bytes(16)),
        ({"shape": [2, 3]}, bytes(16)),
        ({"shape": [3, 2]}, bytes(16)),
        ({}, bytes(15)),
        ({}, bytes(17)),
        ({"data": [1]}, bytes(16)),
        ({"parameters": {}}, b""),
        ({"parameters": {"binary_data_size": 24}}, bytes(24)),
        ({"parameters": {"binary_data_size": 16.0}}, bytes(16)),
        ({"parameters": {"binary_data_size": 16, "shared_memory_region": "r"}}, bytes(16)),
    ],
)
def test_every_other_binary_body_is_left_to_the_general_decoder(change, rest):
    tensor = {"name": "X", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": 16}, **change}
    head = json.dumps({"inputs": [tensor]}).encode()
    assert fast_decoder(ONE).from_binary(head + rest, len(head)) is None


def test_binary_bools_are_left_to_the_general_decoder_which_checks_them():
    body, header_length = binary_body({"X": np.array([True])})
    assert fast_decoder(signature(TensorSpec("X", "BOOL", (-1,)))).from_binary(body, header_length) is None


_values = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70))
_odd = st.sampled_from([None, True, "NaN", "1", 1e39, [], [1]])


@given(
    st.lists(st.lists(_values | _odd, max_size=3), max_size=3), st.lists(st.integers(-1, 3), max_size=3), st.booleans()
)
def test_both_decoders_agree_on_any_request(rows, shape, flat):
    data = [value for row in rows for value in row] if flat else rows
    content = json.dumps({"inputs": [{**TENSOR, "shape": shape, "data": data}]}).encode()
    fast = fast_decoder(ONE).from_json(content)
    if fast is not None:
        np.testing.assert_array_equal(fast.inputs["X"], read_generally(content, ONE).inputs["X"], strict=True)
