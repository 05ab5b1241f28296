"""Typed contents of many elements, which are read and written in pieces."""

import numpy as np
import pytest

from gateway.protocols.open_inference_pb2 import InferTensorContents
from gateway.protocols.v2_grpc_contents import FIELD_OF, decode_contents, encode_contents
from runtimes.datatypes import BYTES, NUMPY_OF

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
    content = encode_contents(datatype, values).SerializeToString()
    for unknown in (b"", b"\xfa\x01\x03xyz"):  # field 31 of a newer protocol
        found = decode_contents("X", datatype, (COUNT,), InferTensorContents.FromString(content + unknown))
        assert found.dtype == values.dtype
        assert found.flags.aligned
        assert found.tobytes() == values.tobytes() if values.dtype != BYTES else found.tolist() == values.tolist()
