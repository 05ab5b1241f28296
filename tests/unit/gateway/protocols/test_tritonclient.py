"""tritonclient's codec at the other end: we read its requests, and it reads our responses."""

import numpy as np
import pytest
import tritonclient.http as triton

from gateway.protocols.v2_http import decode, encode
from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.manifest import TensorSpec
from tests.unit.gateway.protocols.support import RESPONSE, signature

Client = triton.InferenceServerClient
ARRAYS = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "INT64": np.array([[2**53 + 1, -(2**63)]]),
    "UINT64": np.array([[2**64 - 1, 0]], np.uint64),
    "FP32": np.array([[0.1, -2.5]], np.float32),
    "FP64": np.array([[0.1, 1e300]]),
    "BYTES": tensor_of_bytes([b"a", "é".encode()], (1, 2)),
}


def round_trip(
    array: Tensor, outputs: list[triton.InferRequestedOutput] | None, *, binary: bool, kind: str
) -> triton.InferResult:
    """Return the response to a request of tritonclient's, read by tritonclient. The output is the input."""
    given = triton.InferInput("X", list(array.shape), kind)
    given.set_data_from_numpy(array, binary_data=binary)
    body, header_length = Client.generate_request_body([given], outputs=outputs, request_id="i-1")
    specs = TensorSpec("X", kind, (-1, 2)), TensorSpec("y", kind, (-1, 2), ("left", "right"))
    both = signature(specs[0], outputs=specs[1:])
    request = decode(body, header_length, both)
    content, response_header_length = encode(RESPONSE, request, both, [request.inputs["X"]])
    return Client.parse_response_body(content, header_length=response_header_length)


@pytest.mark.parametrize("binary_response", [True, False])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("kind", ARRAYS)
def test_tensors_come_back_as_they_were_sent(kind, binary, binary_response):
    outputs = [triton.InferRequestedOutput("y", binary_data=binary_response)]
    received = round_trip(ARRAYS[kind], outputs, binary=binary, kind=kind).as_numpy("y")
    if kind == "BYTES" and not binary_response:
        received = np.array([text.encode() for text in received.ravel()], object).reshape(received.shape)
    np.testing.assert_array_equal(received, ARRAYS[kind], strict=True)


def test_a_request_without_outputs_gets_bytes():
    result = round_trip(ARRAYS["FP32"], None, binary=True, kind="FP32")
    assert result.get_output("y")["parameters"] == {"binary_data_size": 8}
    np.testing.assert_array_equal(result.as_numpy("y"), ARRAYS["FP32"])


@pytest.mark.parametrize("kind", ["FP16", "BF16"])
def test_sixteen_bits_come_back_in_binary(kind):
    array = np.array([[1.5, -2.0]], NUMPY_OF[kind])
    np.testing.assert_array_equal(round_trip(array, None, binary=True, kind=kind).as_numpy("y"), array, strict=True)


@pytest.mark.parametrize("binary", [True, False])
def test_empty_tensors_come_back(binary):
    outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
    assert round_trip(np.empty((0, 2), np.float32), outputs, binary=binary, kind="FP32").as_numpy("y").shape == (0, 2)


@pytest.mark.parametrize("binary", [True, False])
def test_a_classification_is_read(binary):
    outputs = [triton.InferRequestedOutput("y", binary_data=binary, class_count=2)]
    received = round_trip(ARRAYS["FP32"], outputs, binary=True, kind="FP32").as_numpy("y").ravel()
    assert [each.decode() if binary else each for each in received] == ["0.1:0:left", "-2.5:1:right"]
