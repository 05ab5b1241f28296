"""V2 answers over HTTP: JSON, and behind it the tensors that are wanted as bytes. Decides."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import orjson

from gateway.protocols.classification import classify
from gateway.protocols.request import Answered, InferenceRequest, WantedOutput
from gateway.protocols.tensor_binary import encode_tensor
from gateway.protocols.tensor_json import texts
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature, TensorSpec

_Output = dict[str, Any]
_FLOATS = frozenset(("FP32", "FP64"))
_FEW = 16
NON_FINITE = "non_finite"
"""The parameter of an output that says what its nulls were."""


def encode(
    answered: Answered, request: InferenceRequest, signature: Signature, tensors: Sequence[Tensor]
) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON where bytes follow. `tensors` are all outputs, in the signature's order.

    Numbers that JSON has no word for become null; what they were is said in the output's parameters.

    Raises:
        BadRequest: an output is BYTES that are no text, and is wanted as JSON.
    """
    pairs = zip(signature.outputs, tensors, strict=True)
    if request.outputs is None:
        return _dump(answered, [_as_json(spec.name, spec.datatype, tensor) for spec, tensor in pairs]), None
    places = {spec.name: (spec, tensor) for spec, tensor in pairs}
    outputs, parts = [], []
    for wanted in request.outputs:
        name, datatype, tensor = _answer_of(wanted, *places[wanted.name])
        if wanted.binary:
            part = encode_tensor(tensor)
            parts.append(part)
            size = {"binary_data_size": len(part)}
            outputs.append({"name": name, "shape": tensor.shape, "datatype": datatype, "parameters": size})
        else:
            outputs.append(_as_json(name, datatype, tensor))
    content = _dump(answered, outputs)
    if not any(wanted.binary for wanted in request.outputs):
        return content, None
    return b"".join((content, *parts)), len(content)


def _answer_of(wanted: WantedOutput, spec: TensorSpec, tensor: Tensor) -> tuple[str, str, Tensor]:
    if wanted.classes:
        return spec.name, "BYTES", classify(spec, tensor, wanted.classes)
    return spec.name, spec.datatype, tensor


def _as_json(name: str, datatype: str, tensor: Tensor) -> _Output:
    if datatype == "BYTES":
        return {"name": name, "shape": tensor.shape, "datatype": datatype, "data": texts(name, tensor)}
    data = tensor.ravel()
    output: _Output = {"name": name, "shape": tensor.shape, "datatype": datatype, "data": data}
    if datatype in _FLOATS and not _is_finite(data):
        output["parameters"] = {NON_FINITE: _lost(data)}
    return output


def _is_finite(data: Tensor) -> bool:
    """Of a few numbers, their sum says it: five times as fast, and where the sum overflows, nobody is misled."""
    return (data.size <= _FEW and isfinite(sum(data.tolist()))) or bool(np.isfinite(data).all())


def _lost(data: Tensor) -> str:
    """What the nulls were: word by word, or one word if all were the same."""
    lost = data[~np.isfinite(data)]
    words = np.where(np.isnan(lost), "NaN", np.where(lost > 0, "Infinity", "-Infinity")).tolist()
    return " ".join(words[:1] if len(set(words)) == 1 else words)


def _dump(answered: Answered, outputs: list[_Output]) -> bytes:
    route, version, request_id, parameters = answered
    answer = {
        "model_name": route,
        "model_version": version,
        "id": request_id,
        "parameters": parameters,
        "outputs": outputs,
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


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
