"""KServe's V1: every way to write rows is read, and checked as strictly as V2. Predictions are written row by row."""

import json

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.request import InferenceRequest
from gateway.protocols.v1_http import decode, encode
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes
from runtimes.manifest import Signature, TensorSpec
from tests.unit.gateway.protocols.support import RESPONSE, signature, spec_of

TABLE = signature(TensorSpec("X", "FP32", (-1, 2)))
NAMED = signature(TensorSpec("X", "FP32", (-1, 2), ("age", "class")))
VECTOR = signature(TensorSpec("n", "INT64", (-1,)))
TEXT = signature(TensorSpec("t", "BYTES", (-1,)))
SEVERAL = signature(TensorSpec("X", "FP32", (-1, 2)), TensorSpec("n", "INT64", (-1,)), TensorSpec("t", "BYTES", (-1,)))
ROWS, COLUMNS = [[1, 2], [3, 4]], [{"age": 1, "class": 2}, {"class": 4, "age": 3}]


def read(given_signature, **body):
    return decode(json.dumps(body).encode(), given_signature)


def refusal(given_signature, **body):
    with pytest.raises(BadRequest) as refused:
        read(given_signature, **body)
    assert str(refused.value).endswith(".")
    return str(refused.value)


@pytest.mark.parametrize(
    ("given_signature", "body"),
    [
        (TABLE, {"instances": ROWS}),
        (TABLE, {"inputs": ROWS}),
        (TABLE, {"instances": [{"X": [1, 2]}, {"X": [3, 4]}]}),
        (TABLE, {"inputs": {"X": ROWS}}),
        (NAMED, {"instances": ROWS}),
        (NAMED, {"instances": COLUMNS}),
        (NAMED, {"inputs": COLUMNS}),
        (NAMED, {"instances": [{"X": [1, 2]}, {"X": [3, 4]}]}),
        (NAMED, {"inputs": {"age": [1, 3], "class": [2, 4]}}),
        (NAMED, {"inputs": {"X": ROWS}, "signature_name": "serving_default", "model_name": "other"}),
    ],
)
def test_a_table_may_be_written_in_many_ways(given_signature, body):
    request = read(given_signature, **body)
    np.testing.assert_array_equal(request.inputs["X"], np.array(ROWS, np.float32), strict=True)
    assert (request.id, request.parameters, request.outputs, request.batch_size) == ("", {}, None, 2)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"X": [1, 2], "n": 5, "t": "a"}, {"t": {"b64": "/w=="}, "X": [3, 4], "n": 6}]},
        {"inputs": {"X": ROWS, "n": [5, 6], "t": ["a", {"b64": "/w=="}]}},
    ],
)
def test_several_inputs_go_by_name(body):
    request = read(SEVERAL, **body)
    assert list(request.inputs) == ["X", "n", "t"]
    assert request.inputs["X"].tolist() == ROWS
    assert request.inputs["n"].tolist() == [5, 6]
    assert request.inputs["t"].tolist() == [b"a", b"\xff"]


@pytest.mark.parametrize("rows", [[5, 6], [{"n": 5}, {"n": 6}]])
def test_a_row_of_a_vector_is_a_value(rows):
    assert read(VECTOR, instances=rows).inputs["n"].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("rows", "elements"),
    [
        (["a", ""], [b"a", b""]),
        ([{"b64": "/wA="}, "a"], [b"\xff\0", b"a"]),
        (["a", {"b64": ""}], [b"a", b""]),
        ([{"t": "a"}, {"t": {"b64": "/w=="}}], [b"a", b"\xff"]),
    ],
)
def test_bytes_are_text_or_base64(rows, elements):
    assert read(TEXT, instances=rows).inputs["t"].tolist() == elements


@pytest.mark.parametrize(("given_signature", "shape"), [(TABLE, (0, 2)), (NAMED, (0, 2)), (VECTOR, (0,)), (TEXT, (0,))])
def test_no_rows_are_an_empty_tensor(given_signature, shape):
    (tensor,) = read(given_signature, instances=[]).inputs.values()
    assert tensor.shape == shape


def test_no_rows_of_several_inputs_are_empty_tensors():
    assert [tensor.shape for tensor in read(SEVERAL, instances=[]).inputs.values()] == [(0, 2), (0,), (0,)]


def test_a_scalar_input_goes_by_name():
    given_signature = signature(TensorSpec("X", "FP32", (-1, 2)), TensorSpec("t", "FP32", ()))
    assert read(given_signature, inputs={"X": ROWS, "t": 0.5}).inputs["t"].shape == ()
    assert "Tensor t is a single value, which has no rows" in refusal(
        given_signature, instances=[{"X": [1, 2], "t": 1}]
    )


@pytest.mark.parametrize(
    "body", [{"instances": [[1, None], ["NaN", "-Infinity"]]}, {"inputs": {"X": [[1, None], ["NaN", "-Infinity"]]}}]
)
def test_what_is_no_number_has_words(body):
    expected = np.array([[1, np.nan], [np.nan, -np.inf]], np.float32)
    np.testing.assert_array_equal(read(TABLE, **body).inputs["X"], expected)


def test_bare_words_are_read():
    assert np.isnan(decode(b'{"instances": [[1, NaN]]}', TABLE).inputs["X"][0, 1])


def test_parameters_are_kept():
    assert read(TABLE, instances=ROWS, parameters={"user_id": "u"}).parameters == {"user_id": "u"}


@pytest.mark.parametrize(
    ("given_signature", "body", "sentence"),
    [
        (TABLE, {}, 'Expected "instances" to be a list'),
        (TABLE, {"instances": 5}, 'Expected "instances" to be a list'),
        (TABLE, {"instances": {"X": ROWS}}, 'Expected "instances" to be a list'),
        (TABLE, {"instances": None}, 'Expected "instances" to be a list'),
        (TABLE, {"inputs": "a"}, 'Expected "inputs" to be a list'),
        (TABLE, {"inputs": ROWS, "instances": ROWS}, 'both "instances" and "inputs"'),
        (TABLE, {"instances": [[1, 2], [3]]}, "ragged, with rows of 1 and of 2"),
        (TABLE, {"instances": [[1, 2, 3]]}, "has shape [1, 3]; the model takes [-1, 2]"),
        (TABLE, {"instances": [1, 2]}, "Expected `array`, got `int`"),
        (TABLE, {"instances": [[[1, 2]]]}, "got `array`"),
        (TABLE, {"instances": [[1, "2"]]}, "holds '2'"),
        (TABLE, {"instances": [[1, True]]}, "got `bool`"),
        (TABLE, {"instances": [[1, 1e39]]}, "does not fit FP32"),
        (TABLE, {"instances": [{"Y": [1, 2]}]}, "unknown field `Y`"),
        (TABLE, {"instances": [{"X": [1, 2]}, [3, 4]]}, "Expected `object`, got `array`"),
        (TABLE, {"instances": [[1, 2], {"X": [3, 4]}]}, "Expected `array`, got `object`"),
        (TABLE, {"inputs": {"Y": ROWS}}, "unknown field `Y`"),
        (TABLE, {"instances": ROWS, "parameters": {"a": [1]}}, "got `array`"),
        (NAMED, {"instances": [{"age": 1}]}, "missing required field `class`"),
        (NAMED, {"instances": [{"age": 1, "class": 2, "more": 3}]}, "unknown field `more`"),
        (NAMED, {"instances": [{"age": 1, "class": "2"}]}, "holds '2'"),
        (NAMED, {"instances": [{"age": 1, "class": [2]}]}, "got `array`"),
        (NAMED, {"inputs": {"age": [1, 2], "class": [3]}}, "ragged, with rows of 1 and of 2"),
        (VECTOR, {"instances": [1.5]}, "got `float`"),
        (VECTOR, {"instances": [2**63]}, "does not fit INT64"),
        (VECTOR, {"instances": [True]}, "got `bool`"),
        (TEXT, {"instances": [5]}, "got `int`"),
        (TEXT, {"instances": [{"b64": "?"}]}, "has a b64 that is not Base64"),
        (TEXT, {"instances": [{"b64": "é"}]}, "has a b64 that is not Base64"),
        (TEXT, {"instances": [{"b64": 5}]}, "Expected `str`, got `int`"),
        (TEXT, {"instances": [{"b64": "", "more": 1}]}, "unknown field `more`"),
        (SEVERAL, {"instances": ROWS}, "Expected `object`, got `array`"),
        (SEVERAL, {"instances": [{"X": [1, 2], "n": 1}]}, "missing required field `t`"),
        (SEVERAL, {"inputs": {"X": ROWS, "n": [1], "t": ["a", "b"]}}, "different batch sizes"),
        (signature(TensorSpec("X", "FP16", (-1,))), {"instances": [1]}, "FP16 cannot be sent as JSON"),
        (signature(TensorSpec("X", "FP16", (-1,))), {"inputs": {"X": [1]}}, "FP16 cannot be sent as JSON"),
        (signature(*TABLE.inputs, outputs=[TensorSpec("y", "BF16", (-1,))]), {"instances": ROWS}, "Output y is BF16"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(given_signature, body, sentence):
    assert sentence in refusal(given_signature, **body)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The body is empty"),
        (b"{", "not a V1 prediction request"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"instances": [["\xff"]]}', "utf-8"),
        (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_no_request_is_refused_with_a_sentence(content, sentence):
    with pytest.raises(BadRequest) as refused:
        decode(content, TABLE)
    assert sentence in str(refused.value)


def predictions(*outputs: np.ndarray):
    specs = [spec_of(f"y{index}", tensor) for index, tensor in enumerate(outputs)]
    content = encode(RESPONSE, InferenceRequest("", {}, {}, None, 1), signature(outputs=specs), outputs)
    response = json.loads(content)
    assert list(response) == ["predictions"]
    return response["predictions"]


@pytest.mark.parametrize(
    ("output", "rows"),
    [
        (np.array([0.1, np.nan], np.float32), [0.1, None]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([[1, 2], [3, 4]]).T, [[1, 3], [2, 4]]),
        (np.arange(4)[::2], [0, 2]),
        (np.array([True, False]), [True, False]),
        (np.empty((0, 3)), []),
        (np.empty((2, 0)), [[], []]),
        (np.array(5, np.int8), [5]),
        (tensor_of_bytes([b"a", "é".encode(), b"\xff"], (3,)), ["a", "é", {"b64": "/w=="}]),
        (tensor_of_bytes([b"a", b"b"], (1, 2)), [["a", "b"]]),
        (tensor_of_bytes([], (0, 2)), []),
    ],
)
def test_one_output_is_a_list_of_its_rows(output, rows):
    assert predictions(output) == rows


def test_several_outputs_are_objects_by_name():
    outputs = [np.array([3, 4]), np.array([[0.1], [0.2]], np.float32), tensor_of_bytes([b"a", b"b"], (2,))]
    assert predictions(*outputs) == [{"y0": 3, "y1": [0.1], "y2": "a"}, {"y0": 4, "y1": [0.2], "y2": "b"}]


@pytest.mark.parametrize("datatype", [name for name in NUMPY_OF if name not in ("FP16", "BF16", "BYTES")])
def test_every_number_is_written_alone_and_among_others(datatype):
    output = np.ones(1, NUMPY_OF[datatype])
    assert predictions(output) == [1]
    assert predictions(output, output) == [{"y0": 1, "y1": 1}]


def test_outputs_without_rows_in_common_are_refused():
    with pytest.raises(BadRequest, match="no rows in common"):
        predictions(np.array([1, 2]), np.array([1.0]))


WAVE = Signature(
    (TensorSpec("wave", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)), TensorSpec("ends", "BOOL", ())), "none"
)
STEP = Signature((TensorSpec("state", "FP32", (2, -1)), TensorSpec("rate", "INT64", ())), (), "none")
ROW = Signature((TensorSpec("X", "FP32", (2,), ("age", "class")),), (TensorSpec("y", "FP32", (2,)),), "none")
SCALAR = signature(TensorSpec("t", "FP32", ()))


@pytest.mark.parametrize(
    ("given_signature", "body", "tensors"),
    [
        (WAVE, {"instances": [[1, 2, 3]]}, {"wave": [1, 2, 3]}),
        (WAVE, {"instances": [{"wave": [1, 2, 3]}]}, {"wave": [1, 2, 3]}),
        (WAVE, {"inputs": [1, 2, 3]}, {"wave": [1, 2, 3]}),
        (WAVE, {"inputs": {"wave": [1, 2, 3]}}, {"wave": [1, 2, 3]}),
        (STEP, {"instances": [{"rate": 8, "state": [[1], [2]]}]}, {"state": [[1], [2]], "rate": 8}),
        (STEP, {"inputs": {"rate": 8, "state": [[1], [2]]}}, {"state": [[1], [2]], "rate": 8}),
        (ROW, {"instances": [[1, 2]]}, {"X": [1, 2]}),
        (ROW, {"instances": [{"class": 2, "age": 1}]}, {"X": [1, 2]}),
        (ROW, {"inputs": {"class": 2, "age": 1}}, {"X": [1, 2]}),
        (SCALAR, {"instances": [0.5]}, {"t": 0.5}),
        (SCALAR, {"inputs": {"t": 0.5}}, {"t": 0.5}),
    ],
)
def test_a_request_that_is_one_instance_is_a_list_of_one(given_signature, body, tensors):
    request = read(given_signature, **body)
    assert {name: tensor.tolist() for name, tensor in request.inputs.items()} == tensors
    assert request.batch_size == 1


def test_more_instances_than_one_are_refused():
    assert "takes one instance in each request, not 2" in refusal(WAVE, instances=[[1], [2]])
    assert "takes one instance in each request, not 0" in refusal(WAVE, instances=[])


@pytest.mark.parametrize(
    ("given_signature", "tensors", "predictions"),
    [
        (WAVE, [np.float32([1, 2]), np.array(True)], [{"y": [1.0, 2.0], "ends": True}]),
        (ROW, [np.float32([1, 2])], [[1.0, 2.0]]),
    ],
)
def test_the_prediction_of_one_instance_is_the_whole_output(given_signature, tensors, predictions):
    request = InferenceRequest("", {}, {}, None, 1)
    assert json.loads(encode(RESPONSE, request, given_signature, tensors))["predictions"] == predictions


@pytest.mark.parametrize("rows", [[{"age": 1, "sex": "f"}], [{"age": [1], "sex": ["f"]}]])
def test_a_row_of_a_column_of_one_value_may_be_the_value(rows):
    given = signature(TensorSpec("age", "FP64", (-1, 1)), TensorSpec("sex", "BYTES", (-1, 1)))
    tensors = read(given, instances=rows).inputs
    assert tensors["age"].tolist() == [[1.0]]
    assert tensors["sex"].tolist() == [[b"f"]]


@pytest.mark.parametrize("body", [{"instances": [{"age": 1, "sex": None}]}, {"inputs": {"age": [1], "sex": [None]}}])
def test_a_string_that_is_missing_is_null(body):
    """As /invocations takes it: data frames have missing texts."""
    given = signature(TensorSpec("age", "FP64", (-1,)), TensorSpec("sex", "BYTES", (-1,)))
    assert read(given, **body).inputs["sex"].tolist() == [b""]
