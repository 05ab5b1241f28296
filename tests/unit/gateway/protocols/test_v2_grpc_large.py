"""Typed contents of many elements, which are read and written in pieces."""

import numpy as np
import pytest

from gateway.protocols.open_inference_pb2 import InferTensorContents, ModelInferResponse
from gateway.protocols.request import ResponseMeta
from gateway.protocols.v2_grpc_contents import FIELD_OF, contents_in_pieces, decode_contents
from gateway.protocols.v2_grpc_response import encode
from runtimes.datatypes import BYTES, NUMPY_OF
from runtimes.manifest import TensorSpec

COUNT = 150_001


def values_of(datatype):
    kind = NUMPY_OF[datatype]
    if kind == BYTES:
        return np.array([b"a\0%d" % number for number in range(COUNT)], BYTES)
    if kind == np.bool_:
        return np.arange(COUNT) % 3 == 0
    if kind.kind == "f":
        return np.array([np.nan, np.inf, -0.0, *np.linspace(-1, 1, COUNT - 3)], kind)
    bounds = np.iinfo(kind)
    return np.array([bounds.min, bounds.max, *(np.arange(COUNT - 2) % 100)], kind)


@pytest.mark.parametrize("datatype", FIELD_OF)
def test_many_elements_come_back_as_they_were(datatype):
    values = values_of(datatype)
    content = b"".join(contents_in_pieces(datatype, values))
    for unknown in (b"", b"\xfa\x01\x03xyz"):  # field 31 of a newer protocol
        found = decode_contents("X", datatype, (COUNT,), InferTensorContents.FromString(content + unknown))
        assert found.dtype == values.dtype
        assert found.flags.aligned
        assert found.tobytes() == values.tobytes() if values.dtype != BYTES else found.tolist() == values.tolist()


def test_a_typed_response_of_many_elements_is_one_message():
    values = values_of("INT32")[1:].reshape(3, -1)
    specs = (TensorSpec("a", "INT32", (-1, -1)), TensorSpec("b", "INT32", (-1,)))
    tensors = [values, values[0, :2]]
    response = ModelInferResponse.FromString(encode(ResponseMeta("r", "1", "i", {}), None, specs, tensors, typed=True))
    for spec, tensor, output in zip(specs, tensors, response.outputs, strict=True):
        assert (output.name, output.datatype, tuple(output.shape)) == (spec.name, "INT32", tensor.shape)
        assert list(output.contents.int_contents) == tensor.ravel().tolist()
