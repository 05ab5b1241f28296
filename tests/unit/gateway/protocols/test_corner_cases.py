"""The protocol's corner cases that the codecs decide. Each has a test, through decoder and encoder."""

import gzip
import json
import struct
import zlib

import numpy as np
import pytest

from gateway.errors import BadRequest, TooLarge
from gateway.protocols.compression import compress, decompress
from gateway.protocols.request import RequestedOutput
from gateway.protocols.v2_http import decode
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes
from runtimes.manifest import TensorSpec
from tests.unit.gateway.protocols.support import binary_body, encode_outputs, read_response, signature


def body(data, shape, datatype="FP32", **more):
    return json.dumps({"inputs": [{"name": "X", "shape": shape, "datatype": datatype, "data": data}], **more}).encode()


def read(data, shape, datatype="FP32"):
    given = signature(TensorSpec("X", datatype, (-1,) * len(shape)))
    return decode(body(data, shape, datatype), None, given).inputs["X"]


def refusal(*arguments: object):
    with pytest.raises(BadRequest) as refused:
        read(*arguments)
    return str(refused.value)


def test_case_1_flat_and_nested_data_are_the_same():
    assert read([1, 2, 3, 4], [2, 2]).tolist() == read([[1, 2], [3, 4]], [2, 2]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("data", [[1, 2, 3], [1, 2, 3, 4, 5], [[1, 2, 3]], []])
def test_case_1_a_wrong_count_is_refused(data):
    assert "its shape" in refusal(data, [2, 2])


@pytest.mark.parametrize("data", [5, [5]])
def test_case_1_a_scalar_has_the_shape_of_nothing(data):
    assert read(data, []).shape == ()


@pytest.mark.parametrize(("shape", "data"), [([0, 4], []), ([2, 0], [[], []]), ([2, 0], []), ([0], [])])
@pytest.mark.parametrize("datatype", ["FP32", "INT64", "BOOL", "BYTES"])
def test_case_1_dimensions_may_be_zero_in_json_and_in_binary(datatype, shape, data):
    assert read(data, shape, datatype).shape == tuple(shape)
    empty = np.empty(shape, NUMPY_OF[datatype])
    given = signature(TensorSpec("X", datatype, (-1,) * len(shape)))
    assert decode(*binary_body({"X": empty}), given).inputs["X"].shape == tuple(shape)
    for binary in (True, False):
        assert read_response(*encode_outputs({"y": empty}, [RequestedOutput("y", binary)]))["y"].shape == tuple(shape)


@pytest.mark.parametrize(
    ("data", "datatype"),
    [
        ([[1, 2], [3]], "FP32"),
        (["1", "2"], "FP32"),
        ([True, False], "INT32"),
        ([True, False], "FP32"),
        ([1, 0], "BOOL"),
        ([300, 1], "UINT8"),
        ([-1, 1], "UINT8"),
        ([1.5, 1], "INT64"),
        ([1.0, 1], "INT64"),
        ([2**63, 1], "INT64"),
        ([2**64, 1], "UINT64"),
        ([1e39, 1], "FP32"),
    ],
)
def test_case_2_nothing_is_coerced_wrapped_or_cut(data, datatype):
    assert refusal(data, [2], datatype).endswith(".")


@pytest.mark.parametrize(("value", "datatype"), [(2**53 + 1, "INT64"), (-(2**63), "INT64"), (2**64 - 1, "UINT64")])
def test_case_2_large_integers_are_never_floats(value, datatype):
    assert read([value], [1], datatype).tolist() == [value]
    array = np.array([value], NUMPY_OF[datatype])
    assert json.loads(encode_outputs({"y": array})[0])["outputs"][0]["data"] == [value]


def test_case_3_strings_are_utf_8_with_empty_ones_and_zero_bytes_in_any_shape():
    elements = [b"", "é".encode(), b"a\0b", b"\0"]
    assert read([["", "é"], ["a\0b", "\0"]], [2, 2], "BYTES").ravel().tolist() == elements
    tensor = tensor_of_bytes(elements, (2, 2))
    assert read_response(*encode_outputs({"y": tensor}))["y"].tolist() == tensor.tolist()


def test_case_3_bytes_that_are_no_text_travel_in_binary_only():
    tensor = tensor_of_bytes([b"\xff\xfe", b""], (2,))
    given = signature(TensorSpec("X", "BYTES", (-1,)))
    assert decode(*binary_body({"X": tensor}), given).inputs["X"].tolist() == [b"\xff\xfe", b""]
    assert read_response(*encode_outputs({"y": tensor}, [RequestedOutput("y", binary=True)]))["y"].tolist() == [
        b"\xff\xfe",
        b"",
    ]
    with pytest.raises(BadRequest, match="binary_data: true"):
        encode_outputs({"y": tensor})


@pytest.mark.parametrize("rest", [b"\1", b"\1\0\0", b"\2\0\0\0a", b"\1\0\0\0ab"])
def test_case_3_a_cut_length_is_refused(rest):
    tensor = {"name": "X", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(rest)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(BadRequest):
        decode(head + rest, len(head), signature(TensorSpec("X", "BYTES", (-1,))))


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_case_4_sixteen_bits_travel_in_binary_only(datatype):
    array = np.array([1.5, -2], NUMPY_OF[datatype])
    given = signature(TensorSpec("X", datatype, (-1,)), outputs=[TensorSpec("y", datatype, (-1,))])
    assert decode(*binary_body({"X": array}, parameters={"binary_data_output": True}), given).inputs["X"].tolist() == [
        1.5,
        -2,
    ]
    assert read_response(*encode_outputs({"y": array}, [RequestedOutput("y", binary=True)]))["y"].tolist() == [1.5, -2]
    with pytest.raises(BadRequest, match=f"Tensor X: {datatype} cannot be sent as JSON"):
        decode(body([1.5, -2], [2], datatype), None, given)
    with pytest.raises(BadRequest, match=f"Output y is {datatype}, which JSON cannot carry"):
        decode(*binary_body({"X": array}), given)


def test_case_4_bf16_is_the_upper_half_of_fp32():
    cut = b"".join(
        struct.pack("<f", value)[2:] for value in (1.1, -3.25)
    )  # tritonclient cuts in this way, without rounding
    assert np.frombuffer(cut, NUMPY_OF["BF16"]).astype(np.float32).tolist() == [1.09375, -3.25]


TWO_OUTPUTS = signature(
    TensorSpec("X", "FP32", (-1,)), outputs=[TensorSpec("a", "FP32", (-1,)), TensorSpec("b", "FP32", (-1,))]
)


def test_case_5_outputs_come_as_requested():
    request = decode(body([1], [1], outputs=[{"name": "b"}, {"name": "a"}]), None, TWO_OUTPUTS)
    content, _ = encode_outputs({"a": np.array([1.0]), "b": np.array([2.0])}, request.outputs)
    assert [output["name"] for output in json.loads(content)["outputs"]] == ["b", "a"]


@pytest.mark.parametrize("outputs", [[{"name": "c"}], [{"name": "a"}, {"name": "a"}]])
def test_case_5_unknown_and_repeated_outputs_are_refused(outputs):
    with pytest.raises(BadRequest):
        decode(body([1], [1], outputs=outputs), None, TWO_OUTPUTS)


def test_case_5_an_empty_list_of_outputs_is_all_of_them():
    assert decode(body([1], [1], outputs=[]), None, TWO_OUTPUTS).outputs is None


def test_case_6_a_classification_is_sorted_clamped_bytes():
    given = signature(TensorSpec("X", "FP32", (-1,)), outputs=[TensorSpec("y", "FP32", (-1, -1))])
    outputs = [{"name": "y", "parameters": {"classification": 5}}]
    request = decode(body([1], [1], outputs=outputs), None, given)
    (output,) = json.loads(encode_outputs({"y": np.array([[0.25, 0.75]])}, request.outputs)[0])["outputs"]
    assert output == {"name": "y", "shape": [1, 2], "datatype": "BYTES", "data": ["0.75:1", "0.25:0"]}


@pytest.mark.parametrize(("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_case_7_a_compressed_binary_body_is_read_with_the_length_it_had_before(encoding, pack):
    content, header_length = binary_body({"X": np.array([1.5], np.float32)})
    plain = decompress(pack(content), encoding, 10_000)
    assert decode(plain, header_length, signature(TensorSpec("X", "FP32", (-1,)))).inputs["X"].tolist() == [1.5]
    with pytest.raises(TooLarge):
        decompress(pack(bytes(10_001)), encoding, 10_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_case_7_a_compressed_binary_response_keeps_the_length_of_its_json(encoding):
    content, header_length = encode_outputs({"y": np.array([1.5])}, [RequestedOutput("y", binary=True)])
    plain = decompress(compress(content, encoding), encoding.encode(), 10_000)
    assert read_response(plain, header_length)["y"].tolist() == [1.5]


def test_case_7_an_unknown_encoding_is_refused():
    with pytest.raises(BadRequest, match="Content-Encoding 'br' is not supported"):
        decompress(b"", b"br", 1)


def test_case_9_a_model_name_in_the_body_is_ignored():
    more = {"model_name": "another", "model_version": "7"}
    assert decode(body([1], [1], **more), None, TWO_OUTPUTS).inputs["X"].tolist() == [1]


def test_case_10_unknown_fields_are_ignored_and_unknown_parameters_kept():
    parameters = {"sequence_id": 1, "priority": 0, "timeout": 5, "mine": "x", "flag": True, "rate": 0.5}
    assert (
        decode(body([1], [1], unknown={"deep": [1]}, parameters=parameters), None, TWO_OUTPUTS).parameters == parameters
    )


def test_case_13_what_json_has_no_word_for_goes_there_and_back():
    array = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    (output,) = json.loads(encode_outputs({"y": array})[0])["outputs"]
    assert output["data"] == [None, None, None, 1]
    words = output["parameters"]["non_finite"].split()
    data = [words.pop(0) if value is None else value for value in output["data"]]
    np.testing.assert_array_equal(read(data, [4]), array)


def test_case_13_bare_words_are_read():
    content = b'{"inputs":[{"name":"X","shape":[3],"datatype":"FP32","data":[NaN,Infinity,-Infinity]}]}'
    np.testing.assert_array_equal(decode(content, None, TWO_OUTPUTS).inputs["X"], [np.nan, np.inf, -np.inf])


def test_case_14_an_empty_body_is_refused():
    with pytest.raises(BadRequest, match="The body is empty"):
        decode(b"", None, TWO_OUTPUTS)


@pytest.mark.parametrize("shape", [(2,), (1, 1, 2)])
def test_case_15_a_missing_batch_dimension_is_refused(shape):
    given = signature(TensorSpec("X", "FP32", (-1, 2)))
    with pytest.raises(BadRequest, match=r"the model takes \[-1, 2\]"):
        decode(body([1, 2], shape), None, given)


@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_case_17_bytes_must_be_as_many_as_the_shape_needs(size):
    tensor = {"name": "X", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(BadRequest, match=rf"has {size} bytes, but FP32 \[1\] needs 4"):
        decode(head + bytes(size), len(head), TWO_OUTPUTS)
