"""What every protocol decodes a request to, and the checks that all of them share."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.errors import BadRequest
from runtimes.datatypes import Tensor
from runtimes.manifest import Signature

Header = tuple[bytes, bytes]
Headers = Mapping[bytes, bytes]
"""The headers of an HTTP request, or the metadata of a gRPC call. Names are in lower case."""
Parameters = dict[str, Any]


class RequestedOutput(NamedTuple):
    """One output that the caller asks for.

    `binary` asks for bytes instead of JSON. `classes` asks for that many best classes instead of the values; 0 asks for
    the values.
    """

    name: str
    binary: bool = False
    classes: int = 0


class InferenceRequest(NamedTuple):
    """A decoded request: tensors by name, and the requested outputs in order (None: all of them, as JSON).

    `is_frame` says that the inputs came as a table with columns, and not as tensors.
    """

    id: str
    parameters: Parameters
    inputs: dict[str, Tensor]
    outputs: Sequence[RequestedOutput] | None
    batch_size: int
    is_frame: bool = False


class ResponseMeta(NamedTuple):
    """What a response says beside its tensors."""

    route: str
    version: str
    id: str
    parameters: Parameters


def batch_size(signature: Signature, tensors: Mapping[str, Tensor]) -> int:
    """Return the number of instances: the first dimension of the inputs that count instances, otherwise 1.

    Raises:
        BadRequest: the inputs disagree.
    """
    size: int | None = None
    for name in _counting_inputs(signature):
        rows = tensors[name].shape[0]
        if size not in (None, rows):
            raise BadRequest(f"The inputs have different batch sizes: {size} and {rows}.")
        size = rows
    return 1 if size is None else size


def unknown_inputs(names: Iterable[str], signature: Signature) -> BadRequest:
    """Return the error for inputs that the model does not have."""
    if not signature.inputs:
        return BadRequest(f"The route takes no inputs, and the request has {', '.join(names)}; send `inputs: []`.")
    there = ", ".join(spec.name for spec in signature.inputs)
    return BadRequest(f"The model has no input {', '.join(names)}; its inputs are {there}.")


@lru_cache(maxsize=1024)
def _counting_inputs(signature: Signature) -> tuple[str, ...]:
    """Return the names of the inputs that count instances. To ask the signature takes 2 µs for each."""
    return tuple(spec.name for spec in signature.inputs if signature.counts_instances(spec))


@lru_cache(maxsize=1024)
def is_one_instance(signature: Signature) -> bool:
    """Return True if a request is one instance and its tensors are that instance, without a dimension of instances.

    A model that takes single values besides tensors of fixed size counts as well: a single value has no rows.
    """
    return signature.batch == "none" or (
        not signature.takes_several and any(not spec.shape for spec in signature.inputs)
    )
