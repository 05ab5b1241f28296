"""Typed contents: every datatype that has a field, and values that the field may not hold."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.errors import BadRequest
from gateway.protocols import v2_grpc_contents
from gateway.protocols.open_inference_pb2 import InferTensorContents
from gateway.protocols.v2_grpc_contents import FIELD_OF, decode_contents, encode_contents
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def refusal(datatype: str, shape: tuple[int, ...], **contents: Any) -> str:
    with pytest.raises(BadRequest) as refused:
        decode_contents("X", datatype, shape, InferTensorContents(**contents))
    return str(refused.value)


@pytest.mark.parametrize("datatype", FIELD_OF)
@settings(max_examples=25)
@given(st.data())
def test_tensors_of_every_datatype_with_a_field_come_back_as_they_were(datatype, data):
    shape = data.draw(SHAPES)
    if datatype == "BYTES":
        count = math.prod(shape)
        sent = tensor_of_bytes(data.draw(st.lists(st.binary(), min_size=count, max_size=count)), shape)
    else:
        sent = data.draw(hnp.arrays(NUMPY_OF[datatype], shape, elements={"allow_nan": False}))
    contents = InferTensorContents.FromString(encode_contents(datatype, sent).SerializeToString())
    np.testing.assert_array_equal(decode_contents("X", datatype, shape, contents), sent, strict=True)


@pytest.mark.parametrize("datatype", ["INT8", "INT16", "UINT8", "UINT16"])
def test_a_number_that_a_narrow_datatype_cannot_hold_is_refused(datatype):
    bounds = np.iinfo(NUMPY_OF[datatype])
    beyond = [bounds.max + 1] if bounds.min == 0 else [bounds.max + 1, bounds.min - 1]
    for value in beyond:
        sentence = refusal(datatype, (2,), **{FIELD_OF[datatype]: [0, value]})
        assert sentence == f"Tensor X holds {value}, which {datatype} cannot."


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_a_datatype_without_a_field_is_refused(datatype):
    sentence = refusal(datatype, (1,), fp32_contents=[1])
    assert sentence == f"Tensor X: {datatype} has no typed contents; send it in raw_input_contents."


def test_another_field_is_refused_even_beside_the_right_one():
    expected = "Tensor X has int64_contents; FP32 travels in fp32_contents."
    assert refusal("FP32", (1,), int64_contents=[1]) == expected
    assert refusal("FP32", (1,), int64_contents=[1], fp32_contents=[1]) == expected


@pytest.mark.parametrize(("shape", "count"), [((2, 2), 3), ((), 0), ((0, 2), 1), ((2**62, 4), 1)])
def test_another_count_than_the_shapes_is_refused(shape, count):
    sentence = refusal("INT32", shape, int_contents=[1] * count)
    assert sentence == f"Tensor X has {count} elements, but its shape {list(shape)} needs {math.prod(shape)}."


def test_a_shape_that_no_array_can_have_is_refused():
    assert "cannot have the shape" in refusal("INT32", (0, 2**62, 2**62))


@settings(deadline=None)
@given(
    st.sampled_from(["INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32", "INT64", "UINT64"]),
    st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 300) | st.integers(0, 127), max_size=20),
    st.integers(1, 7),
)
def test_pieces_and_whole_give_the_same(datatype, values, piece):
    contents = InferTensorContents(**{FIELD_OF[datatype]: values})

    def outcome():
        try:
            tensor = decode_contents("X", datatype, (len(values),), contents)
        except BadRequest as error:
            return str(error)
        return tensor.dtype, tensor.tolist()

    whole = outcome()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(v2_grpc_contents, "_PIECE", piece)
        assert outcome() == whole
    outside = [value for value in values if value > np.iinfo(NUMPY_OF[datatype]).max]
    assert whole == (
        f"Tensor X holds {outside[0]}, which {datatype} cannot." if outside else (NUMPY_OF[datatype], values)
    )
