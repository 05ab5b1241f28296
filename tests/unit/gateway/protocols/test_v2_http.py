"""The V2 protocol's JSON bodies: requests that are accepted, requests that are rejected, errors and metadata."""

import json
from typing import Any

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.protocols.request import RequestedOutput, batch_size
from gateway.protocols.v2_http import decode, encode_error, metadata
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
        decode(content, None, signature)
    sentence = str(refused.value)
    assert sentence.endswith(".")
    return sentence


def test_a_request_is_decoded():
    request = decode(body(id="i-1", parameters={"user": "u", "n": 1, "x": 0.5, "b": True}), None, ONE)
    assert (request.id, request.parameters) == ("i-1", {"user": "u", "n": 1, "x": 0.5, "b": True})
    assert (request.outputs, request.batch_size) == (None, 1)
    np.testing.assert_array_equal(request.inputs["X"], np.array([[1, 2]], np.float32), strict=True)


def test_inputs_come_in_the_order_of_the_signature():
    request = decode(body(tensor("n", (1,), "INT64", data=[7]), tensor()), None, TWO)
    assert list(request.inputs) == ["X", "n"]


def test_unknown_fields_are_ignored():
    given = tensor(extra={"a": [1]}, parameters={"content_type": "np"})
    request = decode(body(given, model_name="other", more=[{}], outputs=[{"name": "label", "extra": 1}]), None, ONE)
    assert request.outputs == [RequestedOutput("label")]


def test_batch_sizes_must_agree():
    two_rows = tensor("n", (2,), "INT64", data=[7, 8])
    assert refusal(body(tensor(), two_rows), TWO) == "The inputs have different batch sizes: 1 and 2."


@pytest.mark.parametrize(("shape", "rows"), [((-1, 2), 3), ((3, 2), 1), ((), 1)], ids=["varies", "fixed", "scalar"])
def test_only_a_dimension_that_varies_is_a_batch(shape, rows):
    signature = Signature(inputs=(TensorSpec("X", "FP32", shape),), outputs=ONE.outputs)
    assert batch_size(signature, {"X": np.zeros((3, 2) if shape else ())}) == rows


def test_which_inputs_count_instances_is_found_once_for_a_signature(monkeypatch):
    inputs, asked = tuple(TensorSpec(f"once_{index}", "FP32", (-1,)) for index in range(3)), []
    signature = Signature(inputs, ONE.outputs)
    monkeypatch.setattr(Signature, "counts_instances", lambda _, spec: not asked.append(spec.name))
    assert [batch_size(signature, {spec.name: np.zeros(2) for spec in inputs}) for _ in range(3)] == [2, 2, 2]
    assert asked == [spec.name for spec in inputs]


@pytest.mark.parametrize(
    ("content", "sentence"),
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
        (body(id=5), "Expected `str | null`, got `int`"),
        (body(id=["a"]), "Expected `str | null`, got `array`"),
        (body(parameters={"a": None}), "got `null`"),
        (body(parameters={"a": [1]}), "got `array`"),
        (body(parameters={"a": {}}), "got `object`"),
        (body(parameters=[]), "Expected `object | null`, got `array`"),
        (body(tensor(parameters={"a": [1]})), "got `array`"),
        (body(tensor(parameters={"binary_data_size": 8})), "there is no header Inference-Header-Content-Length"),
        (body(tensor(parameters={"shared_memory_region": "r"})), "Tensor X is in shared memory"),
        (body(tensor(data=[1, "NaN "])), "holds 'NaN '"),
        (body(tensor(data=[1, True])), "got `bool`"),
        (body(tensor(data=[1e39, 0])), "does not fit FP32"),
        (body(tensor(data=[1])), "has 1 elements, but its shape [1, 2] needs 2"),
        (body(tensor(data=[[1], [2]])), "nested as [2, 1], but its shape says [1, 2]"),
        (body(tensor(shape=(2, 2), data=[[1, 2], [3]])), "ragged, with rows of 1 and of 2"),
        (body(tensor(shape=(0, 3), data=[])), "has shape [0, 3]"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(content, sentence):
    assert sentence in refusal(content)


@pytest.mark.parametrize("where", ["data", "parameters", "unknown"])
def test_deep_nesting_is_refused(where):
    deep = b"[" * 100_000 + b"]" * 100_000
    content = {
        "data": body().replace(b"[1, 2]}", deep + b"}"),
        "parameters": body(parameters={"a": "DEEP"}).replace(b'"DEEP"', deep),
        "unknown": body(more="DEEP").replace(b'"DEEP"', deep),
    }[where]
    sentence = refusal(content)
    assert "nested" in sentence or "got `array`" in sentence


WORDS = b'{"inputs":[{"name":"X","shape":[2,2],"datatype":"FP32","data":[1, NaN ,Infinity,\n-Infinity]}],"id":"[NaN,"}'


def test_bare_words_are_read_as_python_writes_them():
    request = decode(WORDS, None, ONE)
    np.testing.assert_array_equal(request.inputs["X"], np.array([[1, np.nan], [np.inf, -np.inf]], np.float32))
    assert request.id == "[NaN,"


@pytest.mark.parametrize(
    ("was", "word"),
    [
        (b"NaN ,", b"nan ,"),
        (b"NaN ,", b"+NaN ,"),
        (b"NaN ,", b"NaNa ,"),
        (b"NaN ,", b"NaN NaN ,"),
        (b"1,", b"- Infinity,"),
    ],
)
def test_other_bare_words_are_refused(was, word):
    assert "malformed" in refusal(WORDS.replace(was, word))


@pytest.mark.parametrize(
    "content", [b'["' + b'\\"NaN' * 200_000, b'["NaN' + b'"[NaN' * 200_000, b"[NaN" + b" [" * 400_000]
)
@pytest.mark.timeout(60)
def test_the_search_for_bare_words_takes_linear_time(content):
    assert refusal(content)


def test_text_that_is_not_utf_8_is_refused():
    assert refusal(body(id="XX").replace(b"XX", b"\xff\xfe"))


def test_dimensions_of_minus_one_are_refused():
    signature = Signature(inputs=(TensorSpec("X", "FP32", (-1, -1)),), outputs=ONE.outputs)
    assert "[-1, -1]" in refusal(body(tensor(shape=(-1, -1), data=[5])), signature)


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


def test_bytes_without_the_length_of_the_json_are_told_which_header_is_missing():
    given = {"name": "X", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    for bytes_after in (np.array([1, 2], np.float32).tobytes(), bytes(8), b"\xff" * 8, b'"NaN,]"{['):
        assert "Inference-Header-Content-Length" in refusal(body(given) + bytes_after)


@pytest.mark.parametrize("half", [b"\\ud800", b"\\udc00", b"\\uD83D x", b"\\ud800\\u0041", b"\\\\\\udbff"])
def test_half_a_surrogate_pair_is_called_so(half):
    signature = Signature(inputs=(TensorSpec("s", "BYTES", (-1,)),), outputs=TWO.outputs)
    for content in (
        b'{"id": "' + half + b'", "inputs": []}',
        b'{"inputs": [{"name": "s", "datatype": "BYTES", "shape": [1], "data": ["' + half + b'"]}]}',
        b'{"inputs": [{"name": "s", "datatype": "BYTES", "shape": [1], "data": "' + half + b'"}]}',
    ):
        assert "surrogate pair" in refusal(content, signature)
    assert "truncated" in refusal(b'{"id": "\\\\ud800", "inputs', signature)
