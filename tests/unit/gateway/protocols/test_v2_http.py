"""The V2 protocol's bodies: what is accepted, what is refused and in which words, and what is answered."""

import json
from typing import Any

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.v2_http import batch_size, decode, encode, encode_error, metadata
from runtimes.manifest import Signature, TensorSpec

TWO = Signature(
    inputs=(TensorSpec("X", "FP32", (-1, 2)), TensorSpec("n", "INT64", (-1,))),
    outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2))),
)
ONE = Signature(inputs=(TensorSpec("X", "FP32", (-1, 2)),), outputs=TWO.outputs)


def tensor(name: str = "X", shape: tuple[int, ...] = (1, 2), datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": [1, 2], **more}


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs or [tensor()], **more}).encode()


def refusal(content: bytes, signature: Signature = ONE) -> str:
    with pytest.raises(BadRequest) as refused:
        decode(content, signature)
    said = str(refused.value)
    assert said.endswith(".")
    return said


def test_a_request_is_decoded():
    request = decode(body(id="i-1", parameters={"user": "u", "deep": [1]}), ONE)
    assert (request.id, request.parameters, request.batch_size) == ("i-1", {"user": "u", "deep": [1]}, 1)
    np.testing.assert_array_equal(request.inputs["X"], np.array([[1, 2]], np.float32), strict=True)


def test_inputs_come_in_the_order_of_the_signature():
    request = decode(body(tensor("n", (1,), "INT64", data=[7]), tensor()), TWO)
    assert list(request.inputs) == ["X", "n"]


def test_unknown_fields_are_ignored():
    given = tensor(extra={"a": [1]}, parameters={"content_type": "np"})
    request = decode(body(given, model_name="other", more=[{}], outputs=[{"name": "label", "extra": 1}]), ONE)
    assert list(request.outputs or ()) == ["label"]


@pytest.mark.parametrize("more", [{}, {"outputs": []}])
def test_no_requested_outputs_means_all(more):
    assert decode(body(**more), ONE).outputs in (None, ["label", "scores"])


def test_requested_outputs_keep_their_order():
    assert list(decode(body(outputs=[{"name": "scores"}, {"name": "label"}]), ONE).outputs or ()) == ["scores", "label"]


def test_batch_sizes_must_agree():
    two_rows = tensor("n", (2,), "INT64", data=[7, 8])
    assert refusal(body(tensor(), two_rows), TWO) == "The inputs have different batch sizes: 1 and 2."


@pytest.mark.parametrize(("shape", "rows"), [((-1, 2), 3), ((3, 2), 1), ((), 1)], ids=["varies", "fixed", "scalar"])
def test_only_a_dimension_that_varies_is_a_batch(shape, rows):
    signature = Signature(inputs=(TensorSpec("X", "FP32", shape),), outputs=ONE.outputs)
    assert batch_size(signature, {"X": np.zeros((3, 2) if shape else ())}) == rows


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The body is empty"),
        (b"{", "not a V2 inference request"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `inputs`"),
        (b'{"inputs": 1}', "Expected `array`"),
        (b'{"inputs": []}', "Input X is missing"),
        (body() + b"x", "trailing characters"),
        (b'{"inputs":[{"name":"X","shape":[1,2],"datatype":"FP32"}]}', "Tensor X has no data"),
        (body(tensor(), tensor("Y")), "The model has no input Y; its inputs are X"),
        (body(tensor("Y")), "Input X is missing"),
        (body(tensor(), tensor()), "An input is given twice"),
        (body(tensor(datatype="FP64")), "has datatype FP64; the model takes FP32"),
        (body(tensor(datatype="STRING")), "has datatype STRING"),
        (body(tensor(shape=(2,))), "has shape [2]; the model takes [-1, 2]"),
        (body(tensor(shape=(1, 3))), "has shape [1, 3]; the model takes [-1, 2]"),
        (body(tensor(shape=())), "has shape []"),
        (body(tensor(shape=(-2, 2))), "[-2, 2]"),
        (body(tensor(shape=(-1, 2))), "[-1, 2]"),
        (body(tensor(shape=(1, -2))), "[1, -2]"),
        (body(tensor(shape=(1.0, 2))), "Expected `int`"),
        (body(outputs=[{"name": "nothing"}]), "The model has no output 'nothing'; its outputs are label, scores"),
        (body(outputs=[{"name": "label"}, {"name": "label"}]), "An output is requested twice"),
        (body(tensor(parameters={"binary_data_size": 8})), "binary data, which is not supported yet"),
        (body(id=5), "Expected `str | null`, got `int`"),
        (body().replace(b"[1, 2]}", b"[1, NaN]}"), "NaN and Infinity are not JSON"),
        (body().replace(b"[1, 2]}", b"[1, Infinity]}"), "NaN and Infinity are not JSON"),
        (body().replace(b"[1, 2]}", b"[1, -Infinity]}"), "NaN and Infinity are not JSON"),
        (body(tensor(data=[1, None])), "got `null`"),
        (body(tensor(data=[1, "NaN"])), "got `str`"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(content, said):
    assert said in refusal(content)


@pytest.mark.parametrize("where", ["data", "parameters", "unknown"])
def test_deep_nesting_is_refused(where):
    deep = b"[" * 100_000 + b"]" * 100_000
    content = {
        "data": body().replace(b"[1, 2]}", deep + b"}"),
        "parameters": body(parameters={"a": "DEEP"}).replace(b'"DEEP"', deep),
        "unknown": body(more="DEEP").replace(b'"DEEP"', deep),
    }[where]
    assert "nested" in refusal(content)


def test_text_that_is_not_utf_8_is_refused():
    assert refusal(body(id="XX").replace(b"XX", b"\xff\xfe"))


def test_dimensions_of_minus_one_are_refused():
    signature = Signature(inputs=(TensorSpec("X", "FP32", (-1, -1)),), outputs=ONE.outputs)
    assert "[-1, -1]" in refusal(body(tensor(shape=(-1, -1), data=[5])), signature)


def test_an_answer_has_the_protocols_fields():
    arrays = [np.array([3, -1]), np.array([[0.5], [0.25]], np.float32)]
    answer = json.loads(encode("r", "2", "i-1", {"arm": "a"}, ["label", "scores"], arrays))
    assert answer == {
        "model_name": "r",
        "model_version": "2",
        "id": "i-1",
        "parameters": {"arm": "a"},
        "outputs": [
            {"name": "label", "shape": [2], "datatype": "INT64", "data": [3, -1]},
            {"name": "scores", "shape": [2, 1], "datatype": "FP32", "data": [0.5, 0.25]},
        ],
    }


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_json_has_no_word_for_is_null(kind):
    array = np.array([np.nan, np.inf, -np.inf, 1], kind)
    assert json.loads(encode("r", "1", "i", {}, ["y"], [array]))["outputs"][0]["data"] == [None, None, None, 1]


def test_arrays_are_written_row_by_row_however_they_lie_in_memory():
    array = np.arange(6).reshape(2, 3).T
    assert json.loads(encode("r", "1", "i", {}, ["y"], [array]))["outputs"][0]["data"] == [0, 3, 1, 4, 2, 5]


def test_a_strided_array_is_written():
    array = np.arange(6)[::2]  # as an estimator that answers one column of a matrix gives it
    assert json.loads(encode("r", "1", "i", {}, ["y"], [array]))["outputs"][0]["data"] == [0, 2, 4]


def test_an_error_is_one_sentence():
    assert json.loads(encode_error('It is "so".')) == {"error": 'It is "so".'}


def test_metadata_has_the_protocols_fields():
    assert metadata("r", ["1", "2"], "p", ONE) == {
        "name": "r",
        "versions": ["1", "2"],
        "platform": "p",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "scores", "datatype": "FP32", "shape": [-1, 2]},
        ],
    }
