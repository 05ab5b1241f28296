"""The Open Inference Protocol over gRPC: encode responses.

Responses are concatenated from serialised pieces. That is allowed because protobuf reads concatenated messages as one
merged message. Most pieces are the same from response to response, so they are serialised once and cached. The tensors'
bytes are copied only once.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gateway.protocols.classification import classify
from gateway.protocols.open_inference_pb2 import (
    InferParameter,
    ModelInferResponse,
    ModelStreamInferResponse,
)
from gateway.protocols.request import RequestedOutput, ResponseMeta
from gateway.protocols.tensor_binary import encode_tensor
from gateway.protocols.v2_grpc_contents import FIELD_OF, contents_in_pieces, encode_contents
from runtimes.datatypes import Tensor, tensor_bytes
from runtimes.manifest import TensorSpec

# A field of bytes begins with its number and this type, then its length.
_LENGTH_DELIMITED = 2
_RAW_OUTPUT_CONTENTS = bytes([ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_INFER_RESPONSE = bytes([ModelStreamInferResponse.INFER_RESPONSE_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_OUTPUTS = bytes([ModelInferResponse.OUTPUTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_CONTENTS = bytes([ModelInferResponse.InferOutputTensor.CONTENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_FEW_ELEMENTS = 65_536
# Up to this size a copy costs less than the check whether one is needed.
_SMALL_BYTES = 4096

_OF_ONE_DECISION = frozenset({"decision_id", "decision_token"})
"""The parameters that no other response has."""

_Output = tuple[str, str, Tensor]
"""Name, datatype and tensor."""


def encode(
    response: ResponseMeta,
    requested: Sequence[RequestedOutput] | None,
    specs: Sequence[TensorSpec],
    tensors: Sequence[Tensor],
    *,
    typed: bool,
) -> bytes:
    """Return the serialised response. Its outputs are typed contents if `typed` and if all of them can be."""
    outputs: list[_Output] = [(spec.name, spec.datatype, tensor) for spec, tensor in zip(specs, tensors, strict=True)]
    if requested is not None:
        outputs = _chosen(requested, specs, outputs)
    request_id = response.id.encode()
    model = _model(response.route, response.version)
    pieces: list[bytes | memoryview] = [model, _id_prefix(len(request_id)), request_id]
    for name, value in response.parameters.items():
        if name in _OF_ONE_DECISION:
            pieces += (_text_prefix(name, len(value)), value.encode())
        else:
            pieces.append(_parameter(name, value))
    if typed and all(datatype in FIELD_OF for _, datatype, _ in outputs):
        pieces.append(_typed_outputs(outputs))
    else:
        for name, datatype, tensor in outputs:
            content = tensor_bytes(tensor) if tensor.nbytes <= _SMALL_BYTES else encode_tensor(tensor)
            pieces += (_output(name, datatype, tensor.shape), _RAW_OUTPUT_CONTENTS, _varint(len(content)), content)
    return b"".join(pieces)


def encode_streamed(response: bytes) -> bytes:
    """Return a serialised response as a message of a stream."""
    return b"".join((_INFER_RESPONSE, _varint(len(response)), response))


def encode_streamed_error(sentence: str, route: str, request_id: str) -> bytes:
    """Return an error as a message of a stream. The stream goes on after it."""
    response = ModelInferResponse(model_name=route, id=request_id)
    return ModelStreamInferResponse(error_message=sentence, infer_response=response).SerializeToString()


def _chosen(
    requested: Sequence[RequestedOutput], specs: Sequence[TensorSpec], outputs: Sequence[_Output]
) -> list[_Output]:
    """Return the requested outputs, each as itself or as its best classes."""
    by_name = {spec.name: (spec, output) for spec, output in zip(specs, outputs, strict=True)}
    chosen = []
    for name, _, classes in requested:
        spec, output = by_name[name]
        chosen.append((name, "BYTES", classify(spec, output[2], classes)) if classes else output)
    return chosen


def _typed_outputs(outputs: Sequence[_Output]) -> bytes:
    """Return the serialised outputs. Those of many elements are concatenated from pieces, as responses are."""
    typed: list[bytes] = []
    for name, datatype, tensor in outputs:
        if tensor.size <= _FEW_ELEMENTS:
            contents = encode_contents(datatype, tensor)
            output = ModelInferResponse.InferOutputTensor(
                name=name, datatype=datatype, shape=tensor.shape, contents=contents
            )
            typed.append(ModelInferResponse(outputs=[output]).SerializeToString())
            continue
        parts = contents_in_pieces(datatype, tensor)
        length = sum(map(len, parts))
        described = ModelInferResponse.InferOutputTensor(name=name, datatype=datatype, shape=tensor.shape)
        head = described.SerializeToString() + _CONTENTS + _varint(length)
        typed += (_OUTPUTS, _varint(len(head) + length), head, *parts)
    return b"".join(typed)


@lru_cache(maxsize=1024)
def _model(route: str, version: str) -> bytes:
    return ModelInferResponse(model_name=route, model_version=version).SerializeToString()


@lru_cache(maxsize=1024)
def _output(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    output = ModelInferResponse.InferOutputTensor(name=name, datatype=datatype, shape=shape)
    return ModelInferResponse(outputs=[output]).SerializeToString()


@lru_cache(maxsize=4096, typed=True)
def _parameter(name: str, value: Any) -> bytes:
    """Return a serialised parameter that many decisions share. There are few different values, so cache them."""
    if isinstance(value, float):
        parameter = InferParameter(double_param=value)
    elif isinstance(value, bool):
        parameter = InferParameter(bool_param=value)
    elif isinstance(value, int):
        parameter = InferParameter(int64_param=value)
    else:
        parameter = InferParameter(string_param=value)
    return ModelInferResponse(parameters={name: parameter}).SerializeToString()


@lru_cache(maxsize=1024)
def _id_prefix(length: int) -> bytes:
    """Return an `id` field of `length` bytes, without these bytes, which come last."""
    return _without_end(ModelInferResponse(id="0" * length), length)


@lru_cache(maxsize=1024)
def _text_prefix(name: str, length: int) -> bytes:
    """Return a parameter that is an ASCII text of `length` bytes, without these bytes."""
    parameter = InferParameter(string_param="0" * length)
    return _without_end(ModelInferResponse(parameters={name: parameter}), length)


def _without_end(message: ModelInferResponse, length: int) -> bytes:
    content = message.SerializeToString()
    return content[: len(content) - length]


@lru_cache(maxsize=1024)
def _varint(number: int) -> bytes:
    """Return a length in protobuf's encoding: seven bits a byte, lowest first, the eighth set on all but the last."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
