"""The V2 protocol's gRPC messages: requests that are accepted, requests that are rejected, and responses."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.errors import BadRequest
from gateway.protocols.open_inference_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from gateway.protocols.request import RequestedOutput, ResponseMeta
from gateway.protocols.tensor_binary import decode_tensor, encode_tensor
from gateway.protocols.v2_grpc import decode, is_typed, parse
from gateway.protocols.v2_grpc_response import _parameter, encode, encode_streamed, encode_streamed_error
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes
from runtimes.manifest import Signature, TensorSpec

X = TensorSpec("X", "FP32", (-1, 2))
N = TensorSpec("n", "INT64", (-1,))
LABEL, SCORES = TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2), ("no", "yes"))
ONE = Signature(inputs=(X,), outputs=(LABEL, SCORES))
TWO = Signature(inputs=(X, N), outputs=(LABEL, SCORES))
TENSORS = [np.array([1, 0]), np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)]
RESPONSE = ResponseMeta(
    "route", "3", "id-1", {"decision_id": "d" * 24, "arm": "a", "reason": "WEIGHTED", "propensity": 0.25}
)


def tensor(name: str = "X", shape: tuple[int, ...] = (1, 2), datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, **more}


def message(*inputs: dict[str, Any], raw: list[bytes] | None = None, **more: Any) -> ModelInferRequest:
    given_raw = [bytes(8)] if raw is None else raw
    return ModelInferRequest(inputs=list(inputs) or [tensor()], raw_input_contents=given_raw, **more)


def refusal(request: ModelInferRequest, signature: Signature = ONE) -> str:
    with pytest.raises(BadRequest) as refused:
        decode(request, signature)
    sentence = str(refused.value)
    assert sentence.endswith(".")
    return sentence


def encode_outputs(
    requested: list[RequestedOutput] | None = None, *, typed: bool = False, **more: Any
) -> ModelInferResponse:
    given_outputs = {"specs": ONE.outputs, "tensors": TENSORS, **more}
    content = encode(RESPONSE, requested, given_outputs["specs"], given_outputs["tensors"], typed=typed)
    return ModelInferResponse.FromString(content)


def elements(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BYTES":
        return st.binary(max_size=20)
    if datatype == "BF16":
        return st.integers(0, 2**16 - 1)
    return hnp.from_dtype(NUMPY_OF[datatype], allow_nan=True)


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    return hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def tensors(datatype: str, shape: tuple[int, ...], draw: Any) -> np.ndarray[Any, Any]:
    count = math.prod(shape)
    values = draw(st.lists(elements(datatype), min_size=count, max_size=count))
    if datatype == "BYTES":
        return tensor_of_bytes(values, shape)
    if datatype == "BF16":
        return np.array(values, np.uint16).view(ml_dtypes.bfloat16).reshape(shape)
    return np.array(values, NUMPY_OF[datatype]).reshape(shape)


def signature_of(datatype: str, shape: tuple[int, ...]) -> Signature:
    return Signature(
        inputs=(TensorSpec("X", datatype, (-1,) * len(shape)),),
        outputs=(TensorSpec("Y", datatype, (-1,) * len(shape)),),
    )


@pytest.mark.parametrize("datatype", NUMPY_OF)
@settings(max_examples=25)
@given(st.data())
def test_raw_tensors_of_every_datatype_come_back_as_they_were(datatype, data):
    shape = data.draw(shapes())
    sent = tensors(datatype, shape, data.draw)
    signature = signature_of(datatype, shape)
    got = decode(message(tensor("X", shape, datatype), raw=[bytes(encode_tensor(sent))]), signature).inputs["X"]
    response = encode_outputs(specs=signature.outputs, tensors=[got])
    (output,) = response.outputs
    assert (output.name, output.datatype, tuple(output.shape)) == ("Y", datatype, shape)
    assert not output.HasField("contents")
    back = decode_tensor("Y", datatype, tuple(output.shape), response.raw_output_contents[0])
    assert back.tobytes() == sent.tobytes() if datatype != "BYTES" else back.tolist() == sent.tolist()


def test_a_request_is_decoded():
    request = decode(message(id="i-1", raw=[np.array([1, 2], np.float32).tobytes()]), ONE)
    assert (request.id, request.parameters, request.outputs, request.batch_size) == ("i-1", {}, None, 1)
    np.testing.assert_array_equal(request.inputs["X"], np.array([[1, 2]], np.float32), strict=True)


def test_raw_contents_belong_to_the_inputs_in_their_order_in_the_message():
    contents = [np.array([7], np.int64).tobytes(), np.array([1, 2], np.float32).tobytes()]
    request = decode(message(tensor("n", (1,), "INT64"), tensor(), raw=contents), TWO)
    assert list(request.inputs) == ["X", "n"]
    assert (request.inputs["n"].tolist(), request.inputs["X"].tolist()) == ([7], [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("bool_param", True),
        ("int64_param", -(2**63)),
        ("string_param", "u"),
        ("double_param", 0.1),
        ("uint64_param", 2**64 - 1),
        ("bool_param", False),
        ("int64_param", 0),
        ("string_param", ""),
    ],
)
def test_parameters_of_every_type_are_read(choice, value):
    parameters = decode(message(parameters={"p": {choice: value}}), ONE).parameters
    assert parameters == {"p": value}
    assert type(parameters["p"]) is type(value)


def test_an_output_cannot_be_put_into_shared_memory():
    parameters = {"shared_memory_region": {"string_param": "r"}}
    assert "shared memory" in refusal(message(outputs=[{"name": "label", "parameters": parameters}]))


def test_a_parameter_without_a_value_is_refused():
    assert refusal(message(parameters={"p": {}})) == "Parameter p has no value of a type that the protocol knows."


def test_outputs_keep_the_order_in_which_they_are_requested():
    requested = [{"name": "scores", "parameters": {"classification": {"int64_param": 2}}}, {"name": "label"}]
    outputs = decode(message(outputs=requested), ONE).outputs
    assert [(output.name, output.classes) for output in outputs or ()] == [("scores", 2), ("label", 0)]


def test_binary_data_parameters_mean_nothing_here():
    parameters = {"binary_data": {"bool_param": False}}
    outputs = decode(message(outputs=[{"name": "label", "parameters": parameters}]), ONE).outputs
    assert [output.name for output in outputs or ()] == ["label"]


def test_an_output_is_refused_if_unknown_or_requested_twice():
    assert refusal(message(outputs=[{"name": "z"}])) == "The model has no output 'z'; its outputs are label, scores."
    assert refusal(message(outputs=[{"name": "label"}] * 2)) == "An output is requested twice."


@pytest.mark.parametrize(
    "value", [{"int64_param": 0}, {"int64_param": -1}, {"string_param": "2"}, {"bool_param": True}]
)
def test_classes_are_a_number_from_one(value):
    assert "classification" in refusal(message(outputs=[{"name": "scores", "parameters": {"classification": value}}]))


CONTENTS = {"fp32_contents": [1, 2]}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (message(tensor(), tensor(), raw=[bytes(8)] * 2), "An input is given twice."),
        (message(raw=[bytes(8)] * 2), "raw_input_contents has 2 entries for 1 inputs; each has its own."),
        (message(tensor(), tensor("n", (1,), "INT64")), "raw_input_contents has 1 entries for 2 inputs"),
        (message(tensor(contents=CONTENTS)), "Tensor X has contents beside raw_input_contents; send one of them."),
        (message(tensor(contents={})), "Tensor X has contents beside raw_input_contents"),
        (message(raw=[bytes(7)]), "Tensor X has 7 bytes, but FP32 [1, 2] needs 8."),
        (message(raw=[b""]), "Tensor X has 0 bytes, but FP32 [1, 2] needs 8."),
        (message(raw=[]), "Tensor X has 0 elements, but its shape [1, 2] needs 2."),
        (message(tensor("z")), "Input X is missing."),
        (message(tensor(), tensor("z"), raw=[bytes(8)] * 2), "The model has no input z; its inputs are X."),
        (message(tensor(datatype="FP64")), "Tensor X has datatype FP64; the model takes FP32."),
        (message(tensor(datatype="")), "Tensor X has datatype ; the model takes FP32."),
        (message(tensor(shape=(2,))), "Tensor X has shape [2]; the model takes [-1, 2]."),
        (message(tensor(shape=(-1, 2))), "Tensor X has shape [-1, 2]; the model takes [-1, 2]."),
        (message(tensor(shape=(2**62, 2))), "Tensor X has 8 bytes, but FP32"),
        (message(tensor(shape=(2**62, 2)), raw=[]), "Tensor X has 0 elements, but its shape"),
        (ModelInferRequest(), "Input X is missing."),
        (
            message(tensor(parameters={"shared_memory_region": {"string_param": "r"}}), raw=[]),
            "Tensor X is in shared memory, which is not supported",
        ),
    ],
)
def test_a_request_that_does_not_fit_is_refused(request_, sentence):
    assert refusal(request_).startswith(sentence)


def test_batch_sizes_must_agree():
    two = message(tensor(), tensor("n", (2,), "INT64"), raw=[bytes(8), bytes(16)])
    assert refusal(two, TWO) == "The inputs have different batch sizes: 1 and 2."


@pytest.mark.parametrize("raw", [[b""], []], ids=["raw", "neither"])
def test_a_tensor_of_no_elements_needs_no_bytes(raw):
    assert decode(message(tensor(shape=(0, 2)), raw=raw), ONE).inputs["X"].shape == (0, 2)


def test_only_a_request_with_typed_contents_gets_a_typed_response():
    assert is_typed(message(tensor(contents=CONTENTS), raw=[]))
    assert not is_typed(message())
    assert not is_typed(message(tensor(shape=(0, 2)), raw=[]))


def test_bytes_that_are_no_message_are_refused():
    with pytest.raises(BadRequest, match="not a ModelInferRequest"):
        parse(b"\xff")


def decoded_or_refused(content: bytes) -> str:
    """Return the names of the inputs, or the sentence of the error. Any other exception fails the test."""
    try:
        return ",".join(decode(parse(content), TWO).inputs)
    except BadRequest as refused:
        return str(refused)


TRUNCATED = st.integers(0, 40).map(lambda at: message().SerializeToString()[:at])
STRANGE_TENSOR = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["X", "n", "z", ""]),
        "datatype": st.sampled_from([*NUMPY_OF, "", "FP99"]),
        "shape": st.lists(st.integers(-2, 3) | st.sampled_from([2**40, 2**63 - 1]), max_size=4),
    },
    optional={
        "contents": st.fixed_dictionaries(
            {},
            optional={
                "int_contents": st.lists(st.integers(-9, 9), max_size=4),
                "fp32_contents": st.lists(st.floats(width=32), max_size=4),
                "int64_contents": st.lists(st.integers(-9, 9), max_size=4),
            },
        )
    },
)


@settings(max_examples=60)
@given(st.binary(max_size=200) | st.builds(bytes.__add__, TRUNCATED, st.binary(max_size=30)))
def test_arbitrary_bytes_are_decoded_or_refused(content):
    sentence = decoded_or_refused(content)
    assert sentence == "X,n" or sentence.endswith(".")


@settings(max_examples=60)
@given(
    st.lists(STRANGE_TENSOR, max_size=3),
    st.lists(st.binary(max_size=32), max_size=3),
    st.lists(st.sampled_from(["label", "scores", "z"]), max_size=3),
)
def test_arbitrary_messages_are_decoded_or_refused(inputs, raw, outputs):
    request = ModelInferRequest(inputs=inputs, raw_input_contents=raw, outputs=[{"name": name} for name in outputs])
    sentence = decoded_or_refused(request.SerializeToString())
    assert sentence == "X,n" or sentence.endswith(".")


def test_a_response_names_the_decision():
    got = encode_outputs()
    assert (got.model_name, got.model_version, got.id) == ("route", "3", "id-1")
    values = {name: (p.WhichOneof("parameter_choice"), p.string_param) for name, p in got.parameters.items()}
    assert values == {
        "decision_id": ("string_param", "d" * 24),
        "arm": ("string_param", "a"),
        "reason": ("string_param", "WEIGHTED"),
        "propensity": ("double_param", ""),
    }
    assert got.parameters["propensity"].double_param == 0.25
    assert [output.name for output in got.outputs] == ["label", "scores"]
    assert list(got.raw_output_contents) == [t.tobytes() for t in TENSORS]


def test_parameters_of_a_response_keep_their_types():
    response = RESPONSE._replace(parameters={"a": 1, "b": True, "c": 1.0, "d": "1"})
    got = ModelInferResponse.FromString(encode(response, None, (), (), typed=False)).parameters
    assert [got[name].WhichOneof("parameter_choice") for name in "abcd"] == [
        "int64_param",
        "bool_param",
        "double_param",
        "string_param",
    ]


def test_tokens_are_written_as_they_are_and_not_kept():
    before = _parameter.cache_info().currsize
    for length in (1, 114, 127, 128, 512):
        parameters = {"decision_id": "d" * 24, "decision_token": "t" * length, "arm": "a"}
        got = ModelInferResponse.FromString(encode(RESPONSE._replace(parameters=parameters), None, (), (), typed=False))
        assert {name: value.string_param for name, value in got.parameters.items()} == parameters
    assert _parameter.cache_info().currsize <= before + 1


@settings(max_examples=60)
@given(st.text(min_size=1), st.binary(max_size=300), st.integers(0, 70_000))
def test_responses_have_the_bytes_that_protobuf_would_write(request_id, short, length):
    specs = (TensorSpec("a", "UINT8", (-1,)), TensorSpec("b", "UINT8", (-1,)))
    parts = [np.frombuffer(short, np.uint8), np.zeros(length, np.uint8)]
    content = encode(RESPONSE._replace(id=request_id), None, specs, parts, typed=False)
    got = ModelInferResponse.FromString(content)
    assert got.id == request_id
    assert got.parameters["decision_id"].string_param == "d" * 24
    assert list(got.raw_output_contents) == [short, bytes(length)]
    assert len(got.SerializeToString()) == len(content)


def test_requested_outputs_are_sent_in_their_order():
    got = encode_outputs([RequestedOutput("scores"), RequestedOutput("label")])
    assert [output.name for output in got.outputs] == ["scores", "label"]
    assert list(got.raw_output_contents) == [TENSORS[1].tobytes(), TENSORS[0].tobytes()]


def test_the_best_classes_are_sent_as_strings():
    (output,) = (got := encode_outputs([RequestedOutput("scores", True, 1)])).outputs
    assert (output.datatype, tuple(output.shape)) == ("BYTES", (2, 1))
    back = decode_tensor("scores", "BYTES", (2, 1), got.raw_output_contents[0])
    assert back.tolist() == [[b"0.75:1:yes"], [b"0.5:0:no"]]


def test_a_typed_response_has_contents_and_nothing_raw():
    got = encode_outputs(typed=True)
    assert not got.raw_output_contents
    label, scores = got.outputs
    assert list(label.contents.int64_contents) == [1, 0]
    assert list(scores.contents.fp32_contents) == [0.25, 0.75, 0.5, 0.5]
    assert (tuple(scores.shape), scores.datatype) == ((2, 2), "FP32")


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_a_datatype_without_a_field_makes_the_whole_response_raw(datatype):
    half = TensorSpec("half", datatype, (-1,))
    got = encode_outputs(specs=(LABEL, half), tensors=[TENSORS[0], np.ones(2, NUMPY_OF[datatype])], typed=True)
    assert len(got.raw_output_contents) == 2
    assert not any(output.HasField("contents") for output in got.outputs)


def test_a_response_in_a_stream_is_the_same_response():
    content = encode(RESPONSE, None, ONE.outputs, TENSORS, typed=False)
    streamed = ModelStreamInferResponse.FromString(encode_streamed(content))
    assert not streamed.error_message
    assert streamed.infer_response == ModelInferResponse.FromString(content)


def test_an_error_in_a_stream_has_the_request_s_id():
    streamed = ModelStreamInferResponse.FromString(encode_streamed_error("No.", "route", "id-1"))
    assert (streamed.error_message, streamed.infer_response.id) == ("No.", "id-1")
