"""V2 responses over HTTP: the protocol's fields, JSON or bytes, and numbers that JSON cannot write."""

import json

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.request import RequestedOutput
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes
from tests.unit.gateway.protocols.support import encode_outputs, read_response

LABEL, SCORES = np.array([3, -1]), np.array([[0.5], [0.25]], np.float32)


def test_a_response_has_the_protocols_fields():
    content, header_length = encode_outputs({"label": LABEL, "scores": SCORES})
    assert header_length is None
    assert json.loads(content) == {
        "model_name": "r",
        "model_version": "2",
        "id": "i-1",
        "parameters": {"arm": "a"},
        "outputs": [
            {"name": "label", "shape": [2], "datatype": "INT64", "data": [3, -1]},
            {"name": "scores", "shape": [2, 1], "datatype": "FP32", "data": [0.5, 0.25]},
        ],
    }


def test_bytes_follow_the_json_in_the_order_of_the_outputs():
    requested = [RequestedOutput("scores", binary=True), RequestedOutput("label", binary=True)]
    content, header_length = encode_outputs({"label": LABEL, "scores": SCORES}, requested)
    assert json.loads(content[:header_length])["outputs"] == [
        {"name": "scores", "shape": [2, 1], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        {"name": "label", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": 16}},
    ]
    assert content[header_length:] == SCORES.tobytes() + LABEL.tobytes()


def test_json_and_binary_outputs_may_be_mixed():
    requested = [RequestedOutput("scores"), RequestedOutput("label", binary=True)]
    content, header_length = encode_outputs({"label": LABEL, "scores": SCORES}, requested)
    assert json.loads(content[:header_length])["outputs"][0]["data"] == [0.5, 0.25]
    assert content[header_length:] == LABEL.tobytes()


def test_only_requested_outputs_are_sent():
    assert list(read_response(*encode_outputs({"label": LABEL, "scores": SCORES}, [RequestedOutput("scores")]))) == [
        "scores"
    ]


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([np.nan, 1, np.inf, -np.inf], ["NaN", "Infinity", "-Infinity"]),
        ([1, -np.inf, -np.inf], ["-Infinity"]),
        ([np.inf, -np.inf], ["Infinity", "-Infinity"]),
        ([np.nan, np.nan], ["NaN"]),
    ],
)
def test_numbers_that_json_cannot_write_are_null_and_listed_beside_it(kind, values, words, count):
    content, _ = encode_outputs({"y": np.array(values * count, kind), "z": np.array([1.0])})
    output, other = json.loads(content)["outputs"]
    assert output["data"] == [value if np.isfinite(value) else None for value in values] * count
    assert output["parameters"] == {"non_finite": " ".join(words * count if len(words) > 1 else words)}
    assert "parameters" not in other


def test_finite_numbers_whose_sum_is_not_are_finite():
    largest = np.array([np.finfo(np.float64).max] * 2)
    assert "parameters" not in json.loads(encode_outputs({"y": largest})[0])["outputs"][0]


def test_arrays_are_written_row_by_row_however_they_lie_in_memory():
    array = np.arange(6).reshape(2, 3).T
    assert json.loads(encode_outputs({"y": array})[0])["outputs"][0]["data"] == [0, 3, 1, 4, 2, 5]


def test_a_strided_array_is_written():
    array = np.arange(6)[::2]  # an estimator that returns one column of a matrix returns such an array
    assert json.loads(encode_outputs({"y": array})[0])["outputs"][0]["data"] == [0, 2, 4]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("shape", "count"), [((), 1), ((0,), 0), ((0, 4), 0), ((2, 0), 0)])
@pytest.mark.parametrize("datatype", ["FP32", "INT8", "BOOL", "BYTES"])
def test_scalars_and_empty_tensors_are_written(datatype, shape, count, binary):
    tensor = tensor_of_bytes([b"a"] * count, shape) if datatype == "BYTES" else np.ones(shape, NUMPY_OF[datatype])
    read = read_response(*encode_outputs({"y": tensor}, [RequestedOutput("y", binary)]))["y"]
    assert (read.shape, read.dtype, read.tolist()) == (tensor.shape, tensor.dtype, tensor.tolist())


def test_bytes_that_are_not_utf_8_are_refused_as_json_and_sent_as_bytes():
    tensor = tensor_of_bytes([b"a", b"\xff"], (2,))
    for requested in (None, [RequestedOutput("y")]):
        with pytest.raises(BadRequest, match=r"not UTF-8, .* ask for it with binary_data: true\."):
            encode_outputs({"y": tensor}, requested)
    assert read_response(*encode_outputs({"y": tensor}, [RequestedOutput("y", binary=True)]))["y"].tolist() == [
        b"a",
        b"\xff",
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_a_classification_is_sent_as_bytes(binary):
    content, header_length = encode_outputs({"y": np.array([[0.25, 0.75]])}, [RequestedOutput("y", binary, 1)])
    output = json.loads(content[:header_length])["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 1])
    assert read_response(content, header_length)["y"].tolist() == [[b"0.75:1"]]
