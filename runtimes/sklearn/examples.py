"""Examples for a manifest that gives none: rows that the estimator can answer, for warm-up and timing."""

from collections.abc import Iterator
from typing import Any

import msgspec

from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed
from runtimes.manifest import Example, Signature, TensorSpec
from runtimes.runtime import Runtime, example_inputs
from runtimes.sklearn.columns import Takes
from runtimes.sklearn.samples import STYLES, made_up

_ROWS = 2


def with_examples(runtime: Runtime, taken: Takes) -> Signature:
    """Return the runtime's signature with an example for each input, if zeros and empty strings are none.

    A one-hot encoder refuses a string that it has not seen, for instance. The estimator says which strings it has seen.
    """
    signature = runtime.signature
    if all(spec.example for spec in signature.inputs):
        return signature
    names = [spec.name for spec in signature.outputs]
    for candidate in _candidates(signature, taken):
        try:
            runtime.run(example_inputs(candidate), names)
        except ModelFailed:
            continue
        return candidate
    return signature  # the warm-up says why


def _candidates(signature: Signature, taken: Takes) -> Iterator[Signature]:
    yield signature
    for style in STYLES:
        tensors = made_up(taken, signature.inputs, _ROWS, style)
        inputs = tuple(spec if spec.example else _with(spec, tensors[spec.name]) for spec in signature.inputs)
        yield msgspec.structs.replace(signature, inputs=inputs)


def _with(spec: TensorSpec, tensor: Tensor) -> TensorSpec:
    return msgspec.structs.replace(spec, example=Example(data=_nested(tensor.tolist())))


def _nested(value: Any) -> Any:
    """Return lists as tuples, and bytes as text."""
    if isinstance(value, list):
        return tuple(map(_nested, value))
    return value.decode() if isinstance(value, bytes) else value
