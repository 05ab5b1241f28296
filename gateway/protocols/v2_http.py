"""The Open Inference Protocol over HTTP, JSON bodies: decode and encode, nothing else. Decides."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from gateway.errors import BadRequest
from gateway.protocols.tensor_json import decode_data
from runtimes.datatypes import NAME_OF, Tensor
from runtimes.manifest import Signature, TensorSpec

Parameters = dict[str, Any]


class _Input(msgspec.Struct, frozen=True):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: msgspec.Raw = msgspec.Raw()
    parameters: Parameters = {}


class _Output(msgspec.Struct, frozen=True):
    name: str
    parameters: Parameters = {}


class _Request(msgspec.Struct, frozen=True):
    inputs: tuple[_Input, ...]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: tuple[_Output, ...] | None = None


_parse = msgspec.json.Decoder(_Request).decode


class InferenceRequest(NamedTuple):
    """A decoded request: tensors by name, and the names of the outputs to answer, in order (None: all of them)."""

    id: str
    parameters: Parameters
    inputs: dict[str, Tensor]
    outputs: Sequence[str] | None
    batch_size: int


def decode(body: bytes, signature: Signature) -> InferenceRequest:
    """Holds a body against the signature and turns it into arrays.

    Raises:
        BadRequest: malformed JSON, a missing or unknown tensor, another datatype, shape, count or element type.
    """
    if not body:
        raise BadRequest("The body is empty; send a JSON object with inputs.")
    try:
        request = _parse(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(_sentence(error)) from error
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    inputs = {tensor.name: tensor for tensor in request.inputs}
    if len(inputs) != len(request.inputs):
        raise BadRequest("An input is given twice.")
    tensors = {spec.name: _tensor(spec, inputs.pop(spec.name, None)) for spec in signature.inputs}
    if inputs:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise BadRequest(f"The model has no input {', '.join(inputs)}; its inputs are {names}.")
    outputs = _outputs(request.outputs, signature) if request.outputs else None
    return InferenceRequest(
        request.id or "", request.parameters or {}, tensors, outputs, batch_size(signature, tensors)
    )


def batch_size(signature: Signature, tensors: Mapping[str, Tensor]) -> int:
    """Instances in a request: the first dimension of the inputs, where it varies; otherwise one.

    Raises:
        BadRequest: the inputs disagree.
    """
    size: int | None = None
    for spec in signature.inputs:
        if spec.shape[:1] == (-1,):
            rows = tensors[spec.name].shape[0]
            if size not in (None, rows):
                raise BadRequest(f"The inputs have different batch sizes: {size} and {rows}.")
            size = rows
    return 1 if size is None else size


def _tensor(spec: TensorSpec, given: _Input | None) -> Tensor:
    if given is None:
        raise BadRequest(f"Input {spec.name} is missing.")
    if given.datatype != spec.datatype:
        raise BadRequest(f"Tensor {spec.name} has datatype {given.datatype}; the model takes {spec.datatype}.")
    mismatch = spec.shape_mismatch(given.shape)
    if mismatch is not None:
        raise BadRequest(mismatch)
    if "binary_data_size" in given.parameters:
        raise BadRequest(f"Tensor {spec.name} is sent as binary data, which is not supported yet; send JSON data.")
    if not given.data:
        raise BadRequest(f"Tensor {spec.name} has no data.")
    return decode_data(spec.name, given.datatype, given.shape, bytes(given.data))


def _outputs(requested: Sequence[_Output], signature: Signature) -> Sequence[str]:
    names = [spec.name for spec in signature.outputs]
    wanted = [output.name for output in requested]
    for name in wanted:
        if name not in names:
            raise BadRequest(f"The model has no output {name!r}; its outputs are {', '.join(names)}.")
    if len(set(wanted)) != len(wanted):
        raise BadRequest("An output is requested twice.")
    return wanted


def _sentence(error: Exception) -> str:
    text = str(error)
    if text.startswith("JSON is malformed") and "invalid character" in text:
        text += "; NaN and Infinity are not JSON, and models take finite numbers"
    return f"The body is not a V2 inference request: {text}."


def encode(
    route: str,
    version: str,
    request_id: str,
    parameters: Parameters,
    outputs: Sequence[str],
    tensors: Sequence[Tensor],
) -> bytes:
    """The answer's body. NaN and infinities become null, as JSON has no word for them."""
    return orjson.dumps(
        {
            "model_name": route,
            "model_version": version,
            "id": request_id,
            "parameters": parameters,
            "outputs": [
                {
                    "name": name,
                    "shape": tensor.shape,
                    "datatype": NAME_OF[tensor.dtype],
                    "data": tensor.ravel(),
                }
                for name, tensor in zip(outputs, tensors, strict=True)
            ],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def encode_error(sentence: str) -> bytes:
    """The body of every answer that is not a success."""
    # What a caller wrote may come back to him in the sentence, lone surrogates included, which are no UTF-8.
    return orjson.dumps({"error": sentence.encode("utf-8", "replace").decode()})


def metadata(route: str, versions: Sequence[str], platform: str, signature: Signature) -> dict[str, Any]:
    """The answer to a model metadata request."""
    return {
        "name": route,
        "versions": list(versions),
        "platform": platform,
        "inputs": [_described(spec) for spec in signature.inputs],
        "outputs": [_described(spec) for spec in signature.outputs],
    }


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
