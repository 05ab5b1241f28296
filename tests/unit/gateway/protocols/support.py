"""Requests as clients write them, and responses as clients read them."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from gateway.protocols.request import InferenceRequest, RequestedOutput, ResponseMeta
from gateway.protocols.tensor_binary import decode_tensor, encode_tensor
from gateway.protocols.v2_http import encode
from runtimes.datatypes import NAME_OF, Tensor
from runtimes.manifest import Signature, TensorSpec

RESPONSE = ResponseMeta("r", "2", "i-1", {"arm": "a"})


def signature(*inputs: TensorSpec, outputs: Sequence[TensorSpec] = ()) -> Signature:
    """Return a signature with these inputs. The default output is `y`, one FP32 per instance."""
    return Signature(inputs=inputs, outputs=tuple(outputs) or (TensorSpec("y", "FP32", (-1,)),))


def spec_of(name: str, tensor: Tensor) -> TensorSpec:
    """Return a spec that the tensor fits."""
    return TensorSpec(name, NAME_OF[tensor.dtype], (-1,) * tensor.ndim)


def binary_body(tensors: dict[str, Tensor], **more: Any) -> tuple[bytes, int]:
    """Return a request with all tensors as bytes after the JSON, and the length of the JSON."""
    parts = [bytes(encode_tensor(tensor)) for tensor in tensors.values()]
    inputs = [
        {
            "name": name,
            "shape": tensor.shape,
            "datatype": NAME_OF[tensor.dtype],
            "parameters": {"binary_data_size": len(part)},
        }
        for (name, tensor), part in zip(tensors.items(), parts, strict=True)
    ]
    head = json.dumps({"inputs": inputs, **more}).encode()
    return b"".join((head, *parts)), len(head)


def encode_outputs(
    tensors: dict[str, Tensor], requested: Sequence[RequestedOutput] | None = None
) -> tuple[bytes, int | None]:
    """Return what `encode` makes of these outputs."""
    request = InferenceRequest("", {}, {}, requested, 1)
    outputs = [spec_of(name, tensor) for name, tensor in tensors.items()]
    return encode(RESPONSE, request, signature(outputs=outputs), list(tensors.values()))


def read_response(content: bytes, header_length: int | None) -> dict[str, Tensor]:
    """Return the outputs of a response, as a client reads them."""
    head = json.loads(content[:header_length])
    rest, tensors = memoryview(content)[header_length or len(content) :], {}
    for output in head["outputs"]:
        if "data" in output:
            given = [each.encode() if isinstance(each, str) else each for each in output["data"]]
            tensor = np.array(given, {v: k for k, v in NAME_OF.items()}[output["datatype"]])
            tensors[output["name"]] = tensor.reshape(output["shape"])
        else:
            size = output["parameters"]["binary_data_size"]
            part, rest = rest[:size], rest[size:]
            tensors[output["name"]] = decode_tensor("y", output["datatype"], tuple(output["shape"]), part)
    assert not rest
    return tensors
