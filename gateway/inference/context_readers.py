"""Reading the values of a context from a request. Neighbouring columns of one tensor are read together."""

from collections.abc import Callable, Container, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from bandits.linear.context import Value
from gateway.inference.attributes import Reader, reader
from router.spec.condition import Attribute
from runtimes.datatypes import Tensor

ValuesReader = Callable[[Mapping[bytes, bytes], Mapping[str, Any], Mapping[str, Tensor], str | None], list[Value]]
"""Takes headers (names in lower case), parameters, inputs and the unit, and returns the values of some columns."""

_NUMBERS = frozenset("fiub")
"""Kinds of tensors whose elements are numbers, also truth values."""


def readers_of(attributes: Sequence[tuple[Attribute, bool]], unbatched: Container[str]) -> list[ValuesReader]:
    """Return what reads the values of a context, whose columns are attributes and numbers (True) or words, in order."""
    made = []
    for source, columns in groupby(attributes, key=_source):
        together = [(each, _plain(reader(each, is_number, unbatched), each)) for each, is_number in columns]
        if source is not None and len(together) > 1:
            made.append(_of_tensor(together, is_batched=source not in unbatched))
        else:
            made += [_alone(read) for _, read in together]
    return made


def _source(column: tuple[Attribute, bool]) -> str | None:
    """Return the name of the tensor that a column is of, or None."""
    attribute, _ = column
    return attribute.name if attribute.source == "inputs" else None


def _alone(read: Reader) -> ValuesReader:
    return lambda headers, parameters, inputs, unit: [read(headers, parameters, inputs, unit)]


def _of_tensor(columns: Sequence[tuple[Attribute, Reader]], *, is_batched: bool) -> ValuesReader:
    """Return a reader of several elements of a tensor. If it lacks some, or has texts, they are read one by one."""
    name, offsets = columns[0][0].name, np.array([attribute.offset for attribute, _ in columns])
    farthest = int(offsets.max())

    def read_elements(
        headers: Mapping[bytes, bytes], parameters: Mapping[str, Any], inputs: Mapping[str, Tensor], unit: str | None
    ) -> list[Value]:
        tensor = inputs.get(name)
        if tensor is not None and tensor.dtype.kind in _NUMBERS:
            shape = tensor.shape
            if farthest * (shape[0] if is_batched and shape else 1) < tensor.size:
                values: list[Value] = tensor.take(offsets).tolist()
                return values
        return [read(headers, parameters, inputs, unit) for _, read in columns]

    return read_elements


def _plain(read: Reader, attribute: Attribute) -> Reader:
    """Return a reader of values that a context may hold. A parameter that is a list or a mapping is none."""
    if attribute.source != "parameters":
        return read

    def read_plain(*request: Any) -> Value:
        value: object = read(*request)
        return value if value is None or isinstance(value, str | int | float) else None

    return read_plain
