"""Datatypes: the two that NumPy does not have, and the bytes of all of them."""

import ml_dtypes
import numpy as np
import pytest

from runtimes.datatypes import NAME_OF, NUMPY_OF, TYPE_STRING_OF, tensor_bytes, tensor_of_bytes, zeros


@pytest.mark.parametrize("datatype", NUMPY_OF)
def test_every_datatype_has_one_numpy_type(datatype):
    assert NAME_OF[NUMPY_OF[datatype]] == datatype


@pytest.mark.parametrize("datatype", NUMPY_OF)
def test_the_log_s_name_of_a_datatype_is_one_that_numpy_knows(datatype):
    assert np.dtype(TYPE_STRING_OF[datatype]) == NUMPY_OF[datatype]


@pytest.mark.parametrize("datatype", NUMPY_OF)
@pytest.mark.parametrize("shape", [(), (2,), (0, 3), (2, 3)])
def test_zeros_are_nothing_in_every_datatype(datatype, shape):
    tensor = zeros(datatype, shape)
    assert (tensor.dtype, tensor.shape) == (NUMPY_OF[datatype], shape)
    assert not tensor.any()
    if datatype == "BYTES":
        assert all(element == b"" for element in tensor.ravel())


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_element_keeps_its_shape(shape):
    tensor = tensor_of_bytes([b"ab"], shape)
    assert (tensor.shape, tensor.ravel().tolist()) == (shape, [b"ab"])


def test_bytes_have_their_length_before_them():
    tensor = tensor_of_bytes([b"ab", b"", b"\xff\0"], (3,))
    assert tensor_bytes(tensor) == b"\2\0\0\0ab" + b"\0\0\0\0" + b"\2\0\0\0\xff\0"


def test_bf16_has_two_bytes():
    assert tensor_bytes(np.array([1.0, -2.0], ml_dtypes.bfloat16)) == b"\x80\x3f\x00\xc0"


def test_bytes_are_row_major_however_a_tensor_lies_in_memory():
    assert tensor_bytes(np.arange(4, dtype=np.uint8).reshape(2, 2).T) == b"\0\2\1\3"
    assert tensor_bytes(tensor_of_bytes([b"a", b"b", b"c", b"d"], (2, 2)).T)[4::5] == b"acbd"
