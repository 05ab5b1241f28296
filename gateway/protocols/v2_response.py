"""V2 responses over HTTP: JSON, followed by the tensors that were requested as bytes."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import orjson

from gateway.protocols.classification import classify
from gateway.protocols.request import InferenceRequest, RequestedOutput, ResponseMeta
from gateway.protocols.tensor_binary import encode_tensor
from gateway.protocols.tensor_json import texts
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature, TensorSpec

_Output = dict[str, Any]
_FLOATS = frozenset(("FP32", "FP64"))
_FEW = 16
NON_FINITE = "non_finite"
"""The parameter of an output that tells what its nulls were."""


def encode(
    response: ResponseMeta, request: InferenceRequest, signature: Signature, tensors: Sequence[Tensor]
) -> tuple[bytes, int | None]:
    """Return the body, and the length of its JSON if bytes follow. `tensors` are all outputs, in signature order.

    NaN and infinities become null. The output's parameters tell what they were.

    Raises:
        BadRequest: an output requested as JSON holds BYTES that are not UTF-8.
    """
    pairs = zip(signature.outputs, tensors, strict=True)
    if request.outputs is None:
        return _dump(response, [_as_json(spec.name, spec.datatype, tensor) for spec, tensor in pairs]), None
    by_name = {spec.name: (spec, tensor) for spec, tensor in pairs}
    outputs, parts = [], []
    for requested in request.outputs:
        name, datatype, tensor = _classified(requested, *by_name[requested.name])
        if requested.binary:
            part = encode_tensor(tensor)
            parts.append(part)
            size = {"binary_data_size": len(part)}
            outputs.append({"name": name, "shape": tensor.shape, "datatype": datatype, "parameters": size})
        else:
            outputs.append(_as_json(name, datatype, tensor))
    content = _dump(response, outputs)
    if not any(requested.binary for requested in request.outputs):
        return content, None
    return b"".join((content, *parts)), len(content)


def _classified(requested: RequestedOutput, spec: TensorSpec, tensor: Tensor) -> tuple[str, str, Tensor]:
    if requested.classes:
        return spec.name, "BYTES", classify(spec, tensor, requested.classes)
    return spec.name, spec.datatype, tensor


def _as_json(name: str, datatype: str, tensor: Tensor) -> _Output:
    if datatype == "BYTES":
        return {"name": name, "shape": tensor.shape, "datatype": datatype, "data": texts(name, tensor)}
    data = tensor.ravel()
    output: _Output = {"name": name, "shape": tensor.shape, "datatype": datatype, "data": data}
    if datatype in _FLOATS and not _is_finite(data):
        output["parameters"] = {NON_FINITE: _non_finite(data)}
    return output


def _is_finite(data: Tensor) -> bool:
    """Return True if no element is NaN or infinite.

    Of up to 16 numbers, a finite sum proves it five times as fast as NumPy. A sum may also overflow, so any other sum
    proves nothing, and NumPy decides.
    """
    return (data.size <= _FEW and isfinite(sum(data.tolist()))) or bool(np.isfinite(data).all())


def _non_finite(data: Tensor) -> str:
    """Return what the nulls are: a word for each, or one word if all are the same."""
    numbers = data[~np.isfinite(data)]
    words = np.where(np.isnan(numbers), "NaN", np.where(numbers > 0, "Infinity", "-Infinity")).tolist()
    return " ".join(words[:1] if len(set(words)) == 1 else words)


def _dump(response: ResponseMeta, outputs: list[_Output]) -> bytes:
    route, version, request_id, parameters = response
    body = {
        "model_name": route,
        "model_version": version,
        "id": request_id,
        "parameters": parameters,
        "outputs": outputs,
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def encode_error(sentence: str) -> bytes:
    """Return the body of an error response."""
    # The sentence may quote the request, which may hold lone surrogates. Those cannot be written as UTF-8.
    return orjson.dumps({"error": sentence.encode("utf-8", "replace").decode()})


def metadata(route: str, versions: Sequence[str], platform: str, signature: Signature) -> dict[str, Any]:
    """Return the response to a model metadata request."""
    return {
        "name": route,
        "versions": list(versions),
        "platform": platform,
        "inputs": [_tensor_metadata(spec) for spec in signature.inputs],
        "outputs": [_tensor_metadata(spec) for spec in signature.outputs],
    }


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
