"""Requests of the binary extension: JSON and bytes in one body, raw bodies, and every kind of wrong length."""

import json
from typing import Any

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.request import InferenceRequest, RequestedOutput
from gateway.protocols.v2_http import decode, parse_header_length
from runtimes.manifest import Signature, TensorSpec
from tests.unit.gateway.protocols.support import binary_body, signature

TWO = signature(TensorSpec("X", "FP32", (-1, 2)), TensorSpec("n", "INT64", (-1,)))
X, N = np.array([[1, 2], [3, 4]], np.float32), np.array([5, 6])


def input_of(name: str, array: np.ndarray, **parameters: Any) -> dict[str, Any]:
    datatype = {"X": "FP32", "n": "INT64"}[name]
    return {"name": name, "shape": array.shape, "datatype": datatype, "parameters": parameters}


def read(inputs: list[dict[str, Any]], rest: bytes, given: Signature = TWO, **more: Any) -> InferenceRequest:
    head = json.dumps({"inputs": inputs, **more}).encode()
    return decode(head + rest, len(head), given)


def refusal(*arguments: Any, **more: Any) -> str:
    with pytest.raises(BadRequest) as refused:
        read(*arguments, **more)
    assert str(refused.value).endswith(".")
    return str(refused.value)


def assert_both(request: InferenceRequest) -> None:
    np.testing.assert_array_equal(request.inputs["X"], X, strict=True)
    np.testing.assert_array_equal(request.inputs["n"], N, strict=True)
    assert list(request.inputs) == ["X", "n"]
    assert request.batch_size == 2


def test_all_inputs_may_be_binary():
    content, header_length = binary_body({"X": X, "n": N}, id="i-1", parameters={"binary_data_output": True})
    request = decode(content, header_length, TWO)
    assert_both(request)
    assert (request.id, request.outputs) == ("i-1", [RequestedOutput("y", binary=True)])


def test_bytes_follow_in_the_order_of_the_request_not_of_the_signature():
    content, header_length = binary_body({"n": N, "X": X})
    assert_both(decode(content, header_length, TWO))


@pytest.mark.parametrize("binary_first", [True, False])
def test_json_and_binary_inputs_may_be_mixed(binary_first):
    inputs = [input_of("X", X, binary_data_size=16), {**input_of("n", N), "data": [5, 6]}]
    assert_both(read(inputs if binary_first else inputs[::-1], X.tobytes()))


def test_a_header_length_with_nothing_behind_it_is_plain_json():
    inputs = [{**input_of("X", X), "data": [1, 2, 3, 4]}, {**input_of("n", N), "data": [5, 6]}]
    assert_both(read(inputs, b""))


@pytest.mark.parametrize("size", [-1, 1.0, "16", True])
def test_binary_data_size_must_be_a_whole_number(size):
    assert "it must be a whole number from 0" in refusal([input_of("X", X, binary_data_size=size)], X.tobytes())


@pytest.mark.parametrize(
    ("inputs", "rest", "sentence"),
    [
        ([input_of("X", X, binary_data_size=16)], bytes(15), "Tensor X has 16 bytes; the body has 15 left"),
        ([input_of("X", X, binary_data_size=2**63)], bytes(16), "the body has 16 left"),
        ([input_of("X", X, binary_data_size=12)], bytes(12), "has 12 bytes, but FP32 [2, 2] needs 16"),
        ([input_of("X", X, binary_data_size=16)], bytes(17), "The body has 1 bytes more than its tensors"),
        ([{**input_of("X", X), "data": [1, 2, 3, 4]}], b"x", "The body has 1 bytes more"),
        ([{**input_of("X", X, binary_data_size=16), "data": [1]}], bytes(16), "both data and binary_data_size"),
        ([input_of("X", X)], b"", "Tensor X has no data"),
        ([input_of("X", X, binary_data_size=16)] * 2, bytes(32), "An input is given twice"),
        (
            [input_of("X", X[:1], binary_data_size=8), input_of("n", N, binary_data_size=16)],
            bytes(24),
            "different batch",
        ),
        ([input_of("X", X, shared_memory_region="r", shared_memory_byte_size=16)], b"", "in shared memory"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(inputs, rest, sentence):
    assert sentence in refusal(inputs, rest)


def test_binary_without_the_header_is_refused():
    body, header_length = binary_body({"X": X, "n": N})
    with pytest.raises(BadRequest, match="there is no header Inference-Header-Content-Length"):
        decode(body[:header_length], None, TWO)


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"12", 12), (b"007", 7), (b"20", 20)])
def test_a_header_length_within_the_body_is_read(value, length):
    assert parse_header_length(value, 20) == length


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b"1.0", b" 1", b"0x1", b"a", b"\xff", b"21", b"9" * 5000, "１".encode()]
)
def test_any_other_header_length_is_refused(value):
    with pytest.raises(BadRequest, match="Inference-Header-Content-Length is"):
        parse_header_length(value, 20)


@pytest.mark.parametrize(
    ("shape", "content", "read_as"),
    [
        ((-1, 2), bytes(8), (1, 2)),
        ((2, 2), bytes(16), (2, 2)),
        ((-1, -1), bytes(12), (1, 3)),
        ((-1, 2, -1), bytes(24), (1, 2, 3)),
        ((2, -1), bytes(16), (2, 2)),
        ((-1, -1), b"", (1, 0)),
        ((-1,), bytes(4), (1,)),
        ((), bytes(4), ()),
    ],
)
def test_a_raw_body_is_one_instance(shape, content, read_as):
    request = decode(content, 0, signature(TensorSpec("X", "FP32", shape)))
    assert request.inputs["X"].shape == read_as
    assert request.outputs == [RequestedOutput("y", binary=True)]
    assert (request.id, request.parameters) == ("", {})


@pytest.mark.parametrize(("shape", "read_as"), [((-1,), (1,)), ((-1, 1), (1, 1)), ((), ()), ((-1, -1), (1, 1))])
@pytest.mark.parametrize("content", [b"", b"\5\0\0\0", b"\xff\0"])
def test_a_raw_body_of_bytes_is_the_element_itself(shape, read_as, content):
    tensor = decode(memoryview(content), 0, signature(TensorSpec("X", "BYTES", shape))).inputs["X"]
    assert (tensor.shape, tensor.ravel().tolist()) == (read_as, [content])


@pytest.mark.parametrize(
    ("specs", "content", "sentence"),
    [
        (TWO.inputs, bytes(8), "the model has 2 inputs"),
        ((TensorSpec("X", "FP32", (-1, -1, -1)),), bytes(8), "which a raw body cannot tell"),
        ((TensorSpec("X", "FP32", (-1, 2)),), bytes(16), "has 16 bytes, but FP32 [1, 2] needs 8"),
        ((TensorSpec("X", "FP32", (-1, -1)),), bytes(5), "has 5 bytes, but FP32 [1, 1] needs 4"),
        ((TensorSpec("X", "FP32", (-1, 2)),), b"", "has 0 bytes"),
        ((TensorSpec("X", "BYTES", (-1, 2)),), b"a", "a raw body is one element of BYTES"),
    ],
)
def test_a_raw_body_that_does_not_fit_is_refused(specs, content, sentence):
    with pytest.raises(BadRequest, match=sentence.replace("[", r"\[")):
        decode(content, 0, signature(*specs))
