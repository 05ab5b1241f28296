"""The Open Inference Protocol over HTTP, with JSON and binary tensors: decode requests, encode responses.

A body is JSON. Or it is JSON whose length is in the header Inference-Header-Content-Length, followed by the bytes of
the tensors that have a `binary_data_size`. If that length is 0, the body holds the bytes of the one input and nothing
else.
"""

from functools import lru_cache

import msgspec

from gateway.errors import BadRequest
from gateway.protocols.request import InferenceRequest, batch_size, unknown_inputs
from gateway.protocols.tensor_binary import decode_tensor
from gateway.protocols.tensor_json import decode_data
from gateway.protocols.v2_body import Body, Input, parse, refuse_shared_memory
from gateway.protocols.v2_fast_decoder import fast_decoder
from gateway.protocols.v2_outputs import requested_outputs
from gateway.protocols.v2_raw import decode_raw
from gateway.protocols.v2_response import encode, encode_error, metadata
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature, TensorSpec

__all__ = ["InferenceRequest", "decode", "encode", "encode_error", "metadata", "parse_header_length"]

_MAX_DIGITS = 18
_BINARY_SIZE = b'"binary_data_size"'
_NULL = msgspec.Raw(b"null")
_fast_decoder = lru_cache(maxsize=256)(fast_decoder)


def parse_header_length(value: bytes, body_bytes: int) -> int:
    """Return the number in Inference-Header-Content-Length. `body_bytes` is the body's length after decompression.

    Raises:
        BadRequest: not a number, or more than the body has bytes.
    """
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise BadRequest(f"Inference-Header-Content-Length is {value.decode('latin-1')!r}; it must be a number.")
    length = int(value)
    if length > body_bytes:
        raise BadRequest(f"Inference-Header-Content-Length is {length}, but the body has {body_bytes} bytes.")
    return length


def decode(body: bytes | memoryview, header_length: int | None, signature: Signature) -> InferenceRequest:
    """Check a body against the signature and return its tensors. `header_length` is from `parse_header_length`.

    Raises:
        BadRequest: malformed JSON, a missing or unknown tensor, another datatype, shape, count or element type, bytes
            that are missing or left over, an output that does not exist or that JSON cannot carry.
    """
    if header_length == 0:
        return decode_raw(body, signature)
    fast = _fast_decoder(signature)
    if header_length is not None:
        request = None if fast is None else fast.from_binary(body, header_length)
        if request is None:
            request = _decode_general(bytes(body[:header_length]), memoryview(body)[header_length:], signature)
        return request
    content = bytes(body)
    request = None if fast is None else fast.from_json(content)
    return _decode_general(content, None, signature) if request is None else request


def _decode_general(content: bytes, rest: memoryview | None, signature: Signature) -> InferenceRequest:
    try:
        request = parse(content)
    except BadRequest as error:
        if rest is None and _BINARY_SIZE in content:
            raise BadRequest(
                "The JSON says binary_data_size, but there is no header Inference-Header-Content-Length to say where "
                "the JSON ends and the bytes begin."
            ) from error
        raise
    inputs = {tensor.name: tensor for tensor in request.inputs}
    if len(inputs) != len(request.inputs):
        raise BadRequest("An input is given twice.")
    parts = _parts(request, rest)
    tensors = {spec.name: _tensor(spec, inputs.pop(spec.name, None), parts.get(spec.name)) for spec in signature.inputs}
    if inputs:
        raise unknown_inputs(inputs, signature)
    return InferenceRequest(
        request.id or "",
        request.parameters or {},
        tensors,
        requested_outputs(request.outputs, request.parameters, signature),
        batch_size(signature, tensors),
    )


def _parts(request: Body, rest: memoryview | None) -> dict[str, memoryview]:
    """Return the bytes after the JSON, by input."""
    parts: dict[str, memoryview] = {}
    at = 0
    for tensor in request.inputs:
        if tensor.parameters is None:
            continue
        refuse_shared_memory(tensor.name, tensor.parameters)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            continue
        if type(size) is not int or size < 0:
            raise BadRequest(f"Tensor {tensor.name} has binary_data_size {size!r}; it must be a whole number from 0.")
        if rest is None and size == 0:
            parts[tensor.name] = memoryview(b"")
            continue
        if rest is None:
            raise BadRequest(
                f"Tensor {tensor.name} is binary, but there is no header Inference-Header-Content-Length "
                "to say where its bytes begin."
            )
        if at + size > len(rest):
            raise BadRequest(f"Tensor {tensor.name} has {size} bytes; the body has {len(rest) - at} left.")
        parts[tensor.name] = rest[at : at + size]
        at += size
    if rest is not None and at != len(rest):
        raise BadRequest(f"The body has {len(rest) - at} bytes more than its tensors.")
    return parts


def _tensor(spec: TensorSpec, given: Input | None, part: memoryview | None) -> Tensor:
    if given is None:
        raise BadRequest(f"Input {spec.name} is missing.")
    if given.datatype != spec.datatype:
        raise BadRequest(f"Tensor {spec.name} has datatype {given.datatype}; the model takes {spec.datatype}.")
    mismatch = spec.shape_mismatch(given.shape)
    if mismatch is not None:
        raise BadRequest(mismatch)
    if part is None:
        if not given.data:
            raise BadRequest(f"Tensor {spec.name} has no data.")
        return decode_data(spec.name, given.datatype, given.shape, given.data)
    if given.data and given.data != _NULL:  # KServe's client sends null as the data of an empty tensor
        raise BadRequest(f"Tensor {spec.name} has both data and binary_data_size; send one of them.")
    return decode_tensor(spec.name, given.datatype, given.shape, part)
