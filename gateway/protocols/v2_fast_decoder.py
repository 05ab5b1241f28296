"""The fast decoder for the usual V2 request: one numeric input, as bytes, or as JSON that is flat or row by row.

For each signature a parser is built that knows the input's name, datatype and shape. So most checks are made while
parsing, in one pass. It accepts nothing that the general decoder in `v2_http` would reject. A request that it does not
accept goes to the general decoder, which also finds the sentence for an error.
"""

from collections.abc import Callable
from itertools import chain
from math import prod
from struct import error as PackError  # noqa: N812  # it is a class
from types import GenericAlias
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np

from gateway.protocols.request import InferenceRequest
from gateway.protocols.tensor_json import CODE_OF, NOT_IN_JSON, element_type, nested, packer
from gateway.protocols.v2_body import Output, Scalars
from gateway.protocols.v2_outputs import requested_outputs
from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.manifest import Signature, TensorSpec

_UNUSUAL = (msgspec.DecodeError, ValueError, RecursionError, PackError, OverflowError)
_SEARCH_BYTES = 1024

_Complete = Callable[[Any, Tensor], InferenceRequest]
"""Returns the request, given what was parsed and its tensor."""


class FastDecoder(NamedTuple):
    """Decodes the usual requests for one signature. Both functions return None for any other request."""

    from_json: Callable[[bytes], InferenceRequest | None]
    from_binary: Callable[[bytes | memoryview, int], InferenceRequest | None]


class _Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    binary_data_size: int


def fast_decoder(signature: Signature) -> FastDecoder | None:
    """Return the fast decoder for a signature, or None if there is none."""
    if len(signature.inputs) != 1:
        return None
    (spec,) = signature.inputs
    if spec.datatype not in CODE_OF or not spec.shape:
        return None
    counts_instances = signature.counts_instances(spec)
    json_by_default = all(output.datatype not in NOT_IN_JSON for output in signature.outputs)

    def complete(request: Any, tensor: Tensor) -> InferenceRequest:
        outputs, parameters = None, request.parameters
        if parameters or request.outputs or not json_by_default:
            outputs = requested_outputs(request.outputs, parameters, signature)
        size = tensor.shape[0] if counts_instances else 1
        return InferenceRequest(request.id or "", parameters or {}, {spec.name: tensor}, outputs, size)

    return FastDecoder(_json_decoder(spec, complete), _binary_decoder(spec, complete))


def _json_decoder(spec: TensorSpec, complete: _Complete) -> Callable[[bytes], InferenceRequest | None]:
    element = element_type(spec.datatype)
    parameters = ("parameters", Scalars | None, None)
    flat, by_row = (_parser(spec, ("data", nested(element, depth)), parameters) for depth in (1, 2))
    dtype, code, is_table = NUMPY_OF[spec.datatype], CODE_OF[spec.datatype], len(spec.shape) == 2

    def decode(body: bytes) -> InferenceRequest | None:
        # This only guesses which parser is right. The wrong one accepts nothing.
        is_nested = is_table and body.find(b"[[", 0, _SEARCH_BYTES) >= 0
        try:
            request = (by_row if is_nested else flat)(body)
            given = request.inputs[0]
            shape, elements = given.shape, given.data
            if given.parameters or len(elements) != (shape[0] if is_nested else prod(shape)):
                return None
            if is_nested:
                if set(map(len, elements)) != {shape[1]}:
                    return None
                elements = elements[0] if len(elements) == 1 else list(chain.from_iterable(elements))
            tensor = np.ndarray(shape, dtype, packer(code, len(elements))(*elements))
        except _UNUSUAL:
            return None
        return complete(request, tensor)

    return decode


def _binary_decoder(
    spec: TensorSpec, complete: _Complete
) -> Callable[[bytes | memoryview, int], InferenceRequest | None]:
    parse = _parser(spec, ("data", msgspec.Raw, msgspec.Raw()), ("parameters", _Size))
    dtype, is_bool = NUMPY_OF[spec.datatype], spec.datatype == "BOOL"

    def decode(body: bytes | memoryview, header_length: int) -> InferenceRequest | None:
        try:
            request = parse(memoryview(body)[:header_length])
            given = request.inputs[0]
            size = given.parameters.binary_data_size
            if given.data or is_bool or size != len(body) - header_length or size != prod(given.shape) * dtype.itemsize:
                return None
            tensor = np.ndarray(given.shape, dtype, body, header_length)
        except _UNUSUAL:
            return None
        return complete(request, tensor if tensor.flags.aligned else tensor.copy())

    return decode


def _parser(spec: TensorSpec, *fields: tuple[str, Any] | tuple[str, Any, Any]) -> Callable[[bytes | memoryview], Any]:
    """Return a parser for requests whose one input matches the spec and has these further fields."""
    dimensions = [Annotated[int, msgspec.Meta(ge=0)] if size == -1 else Literal[size] for size in spec.shape]
    shape = GenericAlias(tuple, tuple(dimensions))
    known = [("name", Literal[spec.name]), ("shape", shape), ("datatype", Literal[spec.datatype])]
    tensor = msgspec.defstruct("Input", [*known, *fields], frozen=True, kw_only=True)
    request = msgspec.defstruct(
        "Request",
        [
            ("inputs", GenericAlias(tuple, (tensor,))),
            ("id", str | None, None),
            ("parameters", Scalars | None, None),
            ("outputs", tuple[Output, ...] | None, None),
        ],
        frozen=True,
    )
    return msgspec.json.Decoder(request).decode
