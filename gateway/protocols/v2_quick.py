"""The usual V2 request, read in one pass: one numeric input, as bytes, or as JSON that is flat or row by row. Decides.

For each signature a parser is built that knows the input's name, datatype and shape, so that most of what is to be
checked is checked while parsing. It accepts nothing that the general way would not, and whatever it does not accept,
it leaves to the general way, which also finds the words for a refusal.
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
from gateway.protocols.v2_outputs import wanted_outputs
from runtimes.datatypes import NUMPY_OF, Tensor
from runtimes.manifest import Signature, TensorSpec

_UNUSUAL = (msgspec.DecodeError, ValueError, RecursionError, PackError, OverflowError)
_LOOK_BYTES = 1024

_Complete = Callable[[Any, Tensor], InferenceRequest]
"""Makes a request of what was parsed and of its tensor."""


class Quick(NamedTuple):
    """What reads the usual requests for one signature; both give None for whatever is not usual."""

    from_json: Callable[[bytes], InferenceRequest | None]
    from_binary: Callable[[bytes | memoryview, int], InferenceRequest | None]


class _Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    binary_data_size: int


def quick_decoder(signature: Signature) -> Quick | None:
    """The quick way for a signature; None if it has none."""
    if len(signature.inputs) != 1:
        return None
    (spec,) = signature.inputs
    if spec.datatype not in CODE_OF or not spec.shape:
        return None
    by_default = all(output.datatype not in NOT_IN_JSON for output in signature.outputs)

    def complete(request: Any, tensor: Tensor) -> InferenceRequest:
        outputs, parameters = None, request.parameters
        if parameters or request.outputs or not by_default:
            outputs = wanted_outputs(request.outputs, parameters, signature)
        size = tensor.shape[0] if spec.shape[0] == -1 else 1
        return InferenceRequest(request.id or "", parameters or {}, {spec.name: tensor}, outputs, size)

    return Quick(_json_decoder(spec, complete), _binary_decoder(spec, complete))


def _json_decoder(spec: TensorSpec, complete: _Complete) -> Callable[[bytes], InferenceRequest | None]:
    element = element_type(spec.datatype)
    parameters = ("parameters", Scalars | None, None)
    flat, by_row = (_parser(spec, ("data", nested(element, depth)), parameters) for depth in (1, 2))
    dtype, code, is_table = NUMPY_OF[spec.datatype], CODE_OF[spec.datatype], len(spec.shape) == 2

    def decode(body: bytes) -> InferenceRequest | None:
        # Only a guess at which parser is the right one: the wrong one does not accept.
        is_nested = is_table and body.find(b"[[", 0, _LOOK_BYTES) >= 0
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
    """Parses requests whose one input is as the spec says, beside these fields."""
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
