"""A raw request: a body that holds the bytes of one instance of the one input, and nothing else."""

import math

from gateway.errors import BadRequest
from gateway.protocols.request import InferenceRequest, batch_size
from gateway.protocols.tensor_binary import decode_tensor
from gateway.protocols.v2_outputs import all_binary
from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.manifest import Signature, TensorSpec


def decode_raw(body: bytes | memoryview, signature: Signature) -> InferenceRequest:
    """Return the request in a body whose JSON has length 0. The batch size is 1, and all outputs are binary.

    Raises:
        BadRequest: the model has several inputs, or more than one further dimension that varies, so that the number of
            bytes does not determine the shape; or the bytes do not fit.
    """
    if len(signature.inputs) != 1:
        raise BadRequest(
            f"A raw body is one tensor, but the model has {len(signature.inputs)} inputs; put JSON before them and "
            "its length into Inference-Header-Content-Length."
        )
    (spec,) = signature.inputs
    shape = [1, *spec.shape[1:]] if signature.counts_instances(spec) else [*spec.shape]
    if shape.count(-1) > 1:
        raise BadRequest(f"Tensor {spec.name} has the shape {list(spec.shape)}, which a raw body cannot tell.")
    tensors = {spec.name: _element(spec, shape, body) if spec.datatype == "BYTES" else _numbers(spec, shape, body)}
    return InferenceRequest("", {}, tensors, all_binary(signature), batch_size(signature, tensors))


def _element(spec: TensorSpec, shape: list[int], body: bytes | memoryview) -> Tensor:
    """Return a BYTES tensor whose one element is the whole body. It has no length before it."""
    if any(size not in (1, -1) for size in shape):
        raise BadRequest(
            f"Tensor {spec.name} has the shape {list(spec.shape)}, but a raw body is one element of BYTES."
        )
    return tensor_of_bytes([bytes(body)], (1,) * len(shape))


def _numbers(spec: TensorSpec, shape: list[int], body: bytes | memoryview) -> Tensor:
    if -1 in shape:
        others = math.prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = len(body) // (others * NUMPY_OF[spec.datatype].itemsize)
    return decode_tensor(spec.name, spec.datatype, tuple(shape), body)
