"""Reading the attributes of a request: headers, parameters, the unit, and values of inputs."""

from collections.abc import Callable, Container, Mapping
from math import nan
from typing import Any

from router.spec.condition import Attribute
from runtimes.datatypes import Tensor

Value = str | int | float | bool | None
Reader = Callable[[Mapping[bytes, bytes], Mapping[str, Any], Mapping[str, Tensor], str | None], Value]
"""Takes headers (names in lower case), parameters, inputs and the unit."""


def reader(attribute: Attribute, is_number: bool, unbatched: Container[str]) -> Reader:
    """Return the function that reads the attribute from a request. `is_number`: it is compared with a number."""
    source, name, offset = attribute
    if source == "headers":
        header = name.encode()
        return lambda headers, _parameters, _inputs, _unit: _text(headers.get(header), is_number)
    if source == "parameters":
        return lambda _headers, parameters, _inputs, _unit: _number_or(parameters.get(name), is_number)
    if source == "unit":
        return lambda _headers, _parameters, _inputs, unit: _number_or(unit, is_number)
    read = _element if name in unbatched else _element_of_first
    return lambda _headers, _parameters, inputs, _unit: read(inputs.get(name), offset, is_number)


def _text(value: bytes | None, is_number: bool) -> Value:
    return None if value is None else _number_or(value.decode("utf-8", "replace"), is_number)


def _number_or(value: Value, is_number: bool) -> Value:
    """Return the value. Text "nan" that is compared with a number becomes NaN: GrowthBook would find it equal."""
    if is_number and type(value) is str and value.strip().lower().lstrip("+-") == "nan":
        return nan
    return value


def _element_of_first(tensor: Tensor | None, offset: int, is_number: bool) -> Value:
    """Return one value of the first instance, or None if the instance has fewer."""
    if tensor is not None and tensor.ndim and offset * tensor.shape[0] >= tensor.size:
        return None
    return _element(tensor, offset, is_number)


def _element(tensor: Tensor | None, offset: int, is_number: bool) -> Value:
    """Return one value of a tensor in row-major order, or None if the tensor has fewer."""
    if tensor is None or offset >= tensor.size:
        return None
    value = tensor.item(offset)
    return _text(value, is_number) if type(value) is bytes else value
