"""A value that answers every request.

By itself a value has one output for each of its keys, of shape [1]: a whole number is INT64, a number with a fraction
FP64, a text BYTES, true or false BOOL. Lists and mappings are JSON in BYTES.

Beside a model, the value has the model's inputs and outputs: each instance gets the value.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.errors import ModelRefused
from runtimes.manifest import Signature, TensorSpec

_DATATYPE_OF: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES", list: "BYTES", dict: "BYTES"}
_TAKEN_BY_KIND: dict[str, tuple[type, ...]] = {
    "b": (bool,),
    "i": (int,),
    "u": (int,),
    "f": (int, float),
    "V": (int, float),
}
"""The types of JSON that may stand for an element, by the kind of NumPy's type."""

MAX_LOGGED_BYTES = 4096
"""The log keeps so much of a value in each row. Its version names all of it."""


class ConstantRuntime:
    """See `runtimes.runtime.Runtime`. `value` is JSON; `signature` is what callers see."""

    unbatched_because = "the answer is a value of the route"

    def __init__(self, value: Mapping[str, Any], signature: Signature) -> None:
        """Make the answer.

        Raises:
            ModelRefused: the value is no answer under this signature; the clause says why.
        """
        self.value = value
        self.signature = signature
        names = [spec.name for spec in signature.outputs]
        if value.keys() != set(names):
            raise ModelRefused(f"it has the outputs {', '.join(sorted(value))} and not {', '.join(sorted(names))}")
        self._counting = next((spec.name for spec in signature.inputs if signature.counts_instances(spec)), None)
        self._of_one = [_instance(value[spec.name], spec, signature) for spec in signature.outputs]
        self._are_rows = [signature.counts_instances(spec) for spec in signature.outputs]

    @property
    def logged(self) -> Tensor:
        """What the log keeps of the answer: the beginning of its JSON, which is almost always all of it."""
        return tensor_of_bytes([_json(self.value)[:MAX_LOGGED_BYTES].decode(errors="ignore").encode()], (1,))

    def answer(self, rows: int) -> Sequence[Tensor]:
        """Return all outputs for a request of so many instances. They must not be changed."""
        if rows == 1:
            return self._of_one
        pairs = zip(self._of_one, self._are_rows, strict=True)
        return [np.repeat(tensor, rows, axis=0) if is_rows else tensor for tensor, is_rows in pairs]

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:
        """See `Runtime.run`."""
        answered = self.answer(1 if self._counting is None else len(inputs[self._counting]))
        by_name = {spec.name: tensor for spec, tensor in zip(self.signature.outputs, answered, strict=True)}
        return [by_name[name] for name in outputs]


def signature_of(value: Mapping[str, Any]) -> Signature:
    """Return the signature that a value has by itself."""
    return Signature((), tuple(TensorSpec(name, _DATATYPE_OF[type(value[name])], (1,)) for name in sorted(value)))


def difference(value: Mapping[str, Any], signature: Signature) -> str:
    """Return why a value is no answer under a signature: a clause that names the output. An empty text: it is one."""
    try:
        ConstantRuntime(value, signature)
    except ModelRefused as error:
        return str(error)
    return ""


def _instance(value: Any, spec: TensorSpec, signature: Signature) -> Tensor:
    """Return the output of one instance."""
    shape = (1, *spec.shape[1:]) if signature.counts_instances(spec) else spec.shape
    wanted = f"{spec.datatype} {list(spec.shape)}"
    said = f"its output {spec.name} is {_DATATYPE_OF[type(value)]} and not {wanted}"
    if -1 in shape:
        raise ModelRefused(f"its output {spec.name} is {wanted}, of which a value cannot tell the size")
    if spec.datatype == "BYTES":
        if not isinstance(value, str | list | dict):
            raise ModelRefused(said)
        return tensor_of_bytes([_text(value)] * math.prod(shape), shape)
    if not set(map(type, _elements(value))) <= set(_TAKEN_BY_KIND[NUMPY_OF[spec.datatype].kind]):
        raise ModelRefused(said)
    try:
        with np.errstate(over="ignore"):
            given = np.array(value, NUMPY_OF[spec.datatype])
        tensor = np.broadcast_to(given, shape).copy()
    except (ValueError, OverflowError) as error:
        raise ModelRefused(f"its output {spec.name} does not fit {wanted}: {error}") from error
    if spec.datatype != "BOOL" and not bool(np.isfinite(tensor).all()):
        raise ModelRefused(f"its output {spec.name} has a number that is too large for {spec.datatype}")
    return tensor


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else _json(value)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _elements(value: Any) -> list[Any]:
    """Return the elements of a value, or of lists in lists."""
    return [each for inner in value for each in _elements(inner)] if isinstance(value, list) else [value]
