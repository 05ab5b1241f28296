"""Requests to a route that takes no inputs, because no arm has a model, by every protocol."""

import json

import pytest

from gateway.errors import BadRequest
from gateway.protocols import scoring_answers, scoring_http, v1_http, v2_grpc, v2_http
from gateway.protocols.open_inference_pb2 import ModelInferRequest
from gateway.protocols.request import InferenceRequest
from gateway.protocols.scoring_http import CSV, LINES, NPY
from runtimes.constant.runtime import ConstantRuntime, signature_of
from tests.unit.gateway.protocols.support import RESPONSE

VALUE = {"columns": 2, "layout": "narrow", "more": {"a": [1]}}
SIGNATURE = signature_of(VALUE)
ANSWER = ConstantRuntime(VALUE, SIGNATURE).answer(1)
PREDICTION = {"columns": 2, "layout": "narrow", "more": '{"a":[1]}'}


def is_empty(request: InferenceRequest) -> bool:
    return (request.inputs, request.batch_size, request.is_frame) == ({}, 1, False)


def score(body: object, kind: bytes | None = None, *, takes_lists: bool = False) -> InferenceRequest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return scoring_http.decode(content, kind, SIGNATURE, takes_lists=takes_lists)


def test_v2_sends_no_inputs_and_gets_an_output_for_each_key():
    request = v2_http.decode(b'{"inputs": [], "parameters": {"user": "u"}}', None, SIGNATURE)
    assert is_empty(request)
    assert request.parameters == {"user": "u"}
    content, _ = v2_http.encode(RESPONSE, request, SIGNATURE, ANSWER)
    outputs = {each["name"]: (each["datatype"], each["shape"], each["data"]) for each in json.loads(content)["outputs"]}
    assert outputs == {
        "columns": ("INT64", [1], [2]),
        "layout": ("BYTES", [1], ["narrow"]),
        "more": ("BYTES", [1], ['{"a":[1]}']),
    }
    assert is_empty(v2_grpc.decode(ModelInferRequest(), SIGNATURE))


def test_inputs_are_refused():
    tensor = {"name": "X", "shape": [1], "datatype": "FP32", "data": [1]}
    with pytest.raises(BadRequest, match="The route takes no inputs, and the request has X"):
        v2_http.decode(json.dumps({"inputs": [tensor]}).encode(), None, SIGNATURE)
    message = ModelInferRequest(inputs=[ModelInferRequest.InferInputTensor(name="X", datatype="FP32", shape=[1])])
    with pytest.raises(BadRequest, match="The route takes no inputs, and the request has X"):
        v2_grpc.decode(message, SIGNATURE)
    with pytest.raises(BadRequest, match="the model has 0 inputs"):
        v2_http.decode(b"1234", 0, SIGNATURE)


@pytest.mark.parametrize("body", [{"instances": [{}]}, {"inputs": [{}]}, {"inputs": {}}])
def test_v1_and_scoring_take_one_empty_instance(body):
    assert is_empty(v1_http.decode(json.dumps(body).encode(), SIGNATURE))
    assert is_empty(score(body))
    request = InferenceRequest("", {}, {}, None, 1)
    for content in (
        v1_http.encode(RESPONSE, request, SIGNATURE, ANSWER),
        scoring_answers.encode("application/json", RESPONSE, request, SIGNATURE, ANSWER, by_name=False),
    ):
        assert json.loads(content) == {"predictions": [PREDICTION]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"instances": []},
        {"instances": [{}, {}]},
        {"instances": [[]]},
        {"instances": [1]},
        {"instances": [{"a": 1}]},
        {"inputs": {"a": 1}},
        {"inputs": None},
        {"dataframe_split": {"columns": [], "data": [[]]}},
        {"dataframe_records": [{}]},
    ],
)
def test_anything_else_is_refused(body):
    for decode in (lambda: v1_http.decode(json.dumps(body).encode(), SIGNATURE), lambda: score(body)):
        with pytest.raises(BadRequest, match="takes no inputs, and answers once: send"):
            decode()


@pytest.mark.parametrize("kind", [CSV, LINES, NPY])
def test_so_are_tables_and_arrays(kind):
    for body in (b"", b"{}", b"a,b\n1,2\n", b"[" * 100_000):
        with pytest.raises(BadRequest, match="takes no inputs, and answers once"):
            score(body, kind.encode())
    with pytest.raises(BadRequest):
        score(b'{"inputs": ' + b"[" * 100_000)
    with pytest.raises(BadRequest):
        score(b"[{}]", takes_lists=True)
