"""Tensors as bytes: aligned bytes are read without a copy, and bytes that do not fit are rejected."""

import struct

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.tensor_binary import decode_tensor, encode_tensor
from runtimes.datatypes import NUMPY_OF, tensor_bytes

NUMBERS = [name for name in NUMPY_OF if name != "BYTES"]


def element(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


@pytest.mark.parametrize(
    ("datatype", "shape", "content", "sentence"),
    [
        ("FP32", (2,), b"1234", "has 4 bytes, but FP32 [2] needs 8"),
        ("FP32", (1,), b"12345", "has 5 bytes, but FP32 [1] needs 4"),
        ("FP32", (), b"", "has 0 bytes, but FP32 [] needs 4"),
        ("FP32", (0, 4), b"1234", "has 4 bytes, but FP32 [0, 4] needs 0"),
        ("FP16", (2,), b"123", "FP16 [2] needs 4"),
        ("BF16", (2,), b"123", "BF16 [2] needs 4"),
        ("FP32", (-1,), b"1234", "has shape [-1]; a tensor has no negative dimensions"),
        ("FP32", (-1, -1), b"1234", "no negative dimensions"),
        ("FP32", (2**62, 2**62), b"1234", "has 4 bytes"),
        ("FP32", (0, 2**63), b"", "cannot have the shape"),
        ("FP32", (0, 10**30), b"", "cannot have the shape"),
        ("FP32", (1,) * 65, b"1234", "cannot have the shape"),
        ("BOOL", (3,), b"\0\1\2", "has a BOOL that is neither 0 nor 1"),
        ("STRING", (1,), b"a", "has datatype 'STRING'; known are BOOL,"),
        ("BYTES", (1,), b"", "has 0 bytes, but 1 BYTES need at least 4"),
        ("BYTES", (2**62,), b"1234", "need at least"),
        ("BYTES", (1,), b"\5\0\0", "need at least 4"),
        ("BYTES", (2,), element(b"a") + b"\0\0\0", "ends within the length of element 1"),
        ("BYTES", (1,), b"\5\0\0\0abcd", "ends within element 0: 5 bytes are announced, 4 are left"),
        ("BYTES", (1,), b"\xff\xff\xff\xffabcd", "4294967295 bytes are announced"),
        ("BYTES", (1,), element(b"a") + b"x", "has 1 bytes more than its 1 elements"),
        ("BYTES", (0,), b"x", "has 1 bytes more than its 0 elements"),
        ("BYTES", (0, 10**30), b"", "cannot have the shape"),
    ],
)
def test_bytes_that_do_not_fit_are_refused_with_a_sentence(datatype, shape, content, sentence):
    with pytest.raises(BadRequest) as refusal:
        decode_tensor("X", datatype, shape, content)
    assert sentence in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("datatype", NUMBERS)
def test_an_aligned_tensor_is_not_copied(datatype):
    content = memoryview(np.zeros(8, np.uint64).view(np.uint8)).toreadonly()
    tensor = decode_tensor("X", datatype, (2,), content[: 2 * NUMPY_OF[datatype].itemsize])
    assert tensor.ctypes.data == np.frombuffer(content, np.uint8).ctypes.data
    assert tensor.flags.aligned
    assert not tensor.flags.writeable


@pytest.mark.parametrize("datatype", NUMBERS)
def test_a_tensor_that_is_not_aligned_is_copied(datatype):
    array = np.arange(4).astype(NUMPY_OF[datatype])
    content = memoryview(b"x" + array.tobytes())[1:]
    tensor = decode_tensor("X", datatype, (2, 2), content)
    assert tensor.flags.aligned
    np.testing.assert_array_equal(tensor, array.reshape(2, 2), strict=True)


def test_bf16_is_the_upper_half_of_fp32():
    content = np.array([1.5, -2.0, np.inf], np.float32).view(np.uint16)[1::2].tobytes()
    assert decode_tensor("X", "BF16", (3,), content).astype(np.float32).tolist() == [1.5, -2.0, np.inf]


def test_bytes_elements_are_kept_as_they_are():
    elements = [b"", b"\0", b"\xff\xfe", "é".encode(), b"a" * 1000, b""]
    content = b"".join(map(element, elements))
    tensor = decode_tensor("X", "BYTES", (2, 3), content)
    assert tensor.tolist() == [elements[:3], elements[3:]]
    assert encode_tensor(tensor) == tensor_bytes(tensor) == content


@pytest.mark.parametrize("kind", [np.float32, np.bool_, np.int64])
def test_a_large_contiguous_tensor_is_encoded_without_a_copy(kind):
    array = np.zeros((100, 100), kind)
    view = encode_tensor(array)
    assert isinstance(view, memoryview)
    assert (len(view), view.nbytes) == (array.nbytes, array.nbytes)
    assert np.shares_memory(np.frombuffer(view, np.uint8), array)


LARGE = np.arange(10_000).reshape(100, 100)


@pytest.mark.parametrize(
    "array",
    [LARGE[:2, :3].T, LARGE.T, LARGE[::2], LARGE[:1, ::2], np.array(5.0), np.empty((0, 4), np.float32)],
    ids=["small transposed", "transposed", "strided", "small strided", "scalar", "empty"],
)
def test_every_tensor_is_written_row_by_row(array):
    assert bytes(encode_tensor(array)) == array.tobytes()
