"""A tensor's JSON data, element by element: nothing is coerced, cut or wrapped."""

import math

import msgspec
import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.tensor_json import decode_data
from runtimes.datatypes import NUMPY_OF


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "values"),
    [
        ("FP32", (2, 2), b"[1,2,3,4]", [[1, 2], [3, 4]]),
        ("FP32", (2, 2), b"[[1,2],[3,4]]", [[1, 2], [3, 4]]),
        ("FP32", (2, 2), b" [ [1, 2],\n\t[3, 4] ] ", [[1, 2], [3, 4]]),
        ("FP32", (), b"5", 5),
        ("FP32", (), b"[5]", 5),
        ("FP32", (0, 4), b"[]", np.empty((0, 4))),
        ("FP32", (2, 0), b"[[],[]]", np.empty((2, 0))),
        ("FP64", (1,), b"[1e308]", [1e308]),
        ("BOOL", (2,), b"[true,false]", [True, False]),
        ("UINT8", (2,), b"[0,255]", [0, 255]),
        ("INT64", (2,), b"[9007199254740993,-9223372036854775808]", [2**53 + 1, -(2**63)]),
        ("UINT64", (2,), b"[18446744073709551615,9007199254740993]", [2**64 - 1, 2**53 + 1]),
        ("BYTES", (), b'"a"', b"a"),
        ("BYTES", (2, 2), b'["a","",["b"]]'.replace(b'["b"]', b'"b","c"'), [[b"a", b""], [b"b", b"c"]]),
        ("BYTES", (1, 2), b'[["\\u00e9","a\\u0000b"]]', [["é".encode(), b"a\0b"]]),
        ("BYTES", (0,), b"[]", np.empty(0, object)),
    ],
)
def test_data_is_read_as_the_shape_says(datatype, shape, data, values):
    array = decode_data("X", datatype, shape, data)
    assert array.dtype == NUMPY_OF[datatype]
    np.testing.assert_array_equal(array, np.array(values, NUMPY_OF[datatype]), strict=True)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "sentence"),
    [
        ("FP32", (2, 2), b"[1,2,3]", "has 3 elements, but its shape [2, 2] needs 4"),
        ("FP32", (1,), b"[]", "has 0 elements"),
        ("FP32", (2, 2), b"[[1,2,3,4]]", "nested as [1, 4], but its shape says [2, 2]"),
        ("FP32", (1, 2), b"[[[1,2]]]", "nested as [1, 1, 2]"),
        ("FP32", (2, 2), b"[[1,2],[3]]", "ragged"),
        ("FP32", (2, 2), b"[[1,2],3]", "Expected `array`"),
        ("FP32", (2,), b"[1,[2]]", "got `array`"),
        ("FP32", (1,), b'["1"]', "holds '1'; beside numbers there are null, NaN, Infinity and -Infinity"),
        ("FP32", (2,), b'[null,"nan"]', "holds 'nan'"),
        ("FP64", (2,), b"[null,true]", "got `bool`"),
        ("FP32", (1,), b"[true]", "got `bool`"),
        ("INT32", (1,), b"[null]", "got `null`"),
        ("INT32", (1,), b'["NaN"]', "got `str`"),
        ("BOOL", (1,), b"[null]", "got `null`"),
        ("BYTES", (1,), b"[null]", "got `null`"),
        ("BYTES", (1,), b"[1]", "got `int`"),
        ("BYTES", (1,), b'["\xff"]', "utf-8"),
        ("BYTES", (2,), b'["a"]', "has 1 elements"),
        ("FP32", (1,), b"{}", "got `object`"),
        ("FP32", (1,), b"[1e39]", "Tensor X"),
        ("FP32", (2,), b"[1e39,-1e39]", "Tensor X"),
        ("FP64", (1,), b"[1e309]", "out of range"),
        ("INT32", (1,), b"[true]", "got `bool`"),
        ("INT32", (1,), b"[1.5]", "got `float`"),
        ("INT64", (1,), b"[9007199254740993.0]", "got `float`"),
        ("BOOL", (1,), b"[1]", "got `int`"),
        ("UINT8", (1,), b"[300]", "number <= 255"),
        ("UINT8", (1,), b"[-1]", "0 <= number"),
        ("INT8", (1,), b"[-129]", "-128 <= number"),
        ("INT64", (1,), b"[9223372036854775808]", "does not fit INT64"),
        ("UINT64", (1,), b"[18446744073709551616]", "does not fit UINT64"),
        ("UINT64", (1,), b"[-1]", "does not fit UINT64"),
        ("FP16", (1,), b"[1]", "FP16 cannot be sent as JSON"),
        ("BF16", (1,), b"[1]", "BF16 cannot be sent as JSON"),
        ("FP32", (1,), b"[" * 65 + b"1" + b"]" * 65, "nested more than 64 levels"),
        ("FP32", (1,), b"[" * 100_000, "nested more than 64 levels"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_a_sentence(datatype, shape, data, sentence):
    with pytest.raises(BadRequest) as refusal:
        decode_data("X", datatype, shape, data)
    assert sentence in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("value", ["3.4028234663852886e38", "-3.4028234663852886e38", "1e-45", "0.1"])
def test_what_fp32_can_hold_is_read(value):
    assert decode_data("X", "FP32", (1,), f"[{value}]".encode())[0] == np.float32(value)


@pytest.mark.parametrize("data", [b'[[1,null],["Infinity","-Infinity"]]', b'[1,"NaN","Infinity","-Infinity"]'])
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_what_is_no_number_has_words(datatype, data):
    array = decode_data("X", datatype, (2, 2), data)
    np.testing.assert_array_equal(
        array, np.array([[1, math.nan], [math.inf, -math.inf]], NUMPY_OF[datatype]), strict=True
    )


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_a_single_null_is_nan(datatype):
    assert np.isnan(decode_data("X", datatype, (), b"null"))


@pytest.mark.parametrize("shape", [(0, 10**30), (0, 2**63 - 1), (0, 2**32, 2**32)])
def test_an_empty_tensor_of_an_absurd_shape_is_refused(shape):
    with pytest.raises(BadRequest):
        decode_data("X", "FP32", shape, b"[]")


def test_more_dimensions_than_numpy_has_are_refused():
    with pytest.raises(BadRequest, match="cannot have the shape"):
        decode_data("X", "FP32", (1,) * 65, b"[1]")


@pytest.mark.parametrize("depth", [1, 8, 9, 32, 64])
def test_data_may_be_nested_as_deep_as_the_shape_says(depth):
    nested = b"[" * depth + b"1" + b"]" * depth
    assert decode_data("X", "FP32", (1,) * depth, nested).shape == (1,) * depth


def test_deeper_nesting_than_an_array_can_have_is_refused():
    for depth in (65, 1_000_000):
        with pytest.raises(BadRequest, match="nested more than 64 levels"):
            decode_data("X", "FP32", (1,), b"[" * depth + b"1" + b"]" * depth)


def test_the_first_wrong_word_is_named():
    wrong = [f"w{number}" for number in range(50)]
    with pytest.raises(BadRequest, match="holds 'w0'"):
        decode_data("X", "FP32", (51,), msgspec.json.encode(["NaN", *wrong]))
