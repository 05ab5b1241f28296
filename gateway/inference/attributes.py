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
    is_batched = name not in unbatched

    def read_element(
        _headers: Mapping[bytes, bytes], _parameters: Mapping[str, Any], inputs: Mapping[str, Tensor], _unit: str | None
    ) -> Value:
        """Return a value of the tensor in row-major order, if it counts instances of the first; None beyond its end."""
        tensor = inputs.get(name)
        if tensor is None:
            return None
        shape = tensor.shape
        if offset * (shape[0] if is_batched and shape else 1) >= tensor.size:
            return None
        value = tensor.item(offset)
        return _text(value, is_number) if type(value) is bytes else value

    return read_element


def _text(value: bytes | None, is_number: bool) -> Value:
    return None if value is None else _number_or(value.decode("utf-8", "replace"), is_number)


def _number_or(value: Value, is_number: bool) -> Value:
    """Return the value. Text "nan" that is compared with a number becomes NaN: GrowthBook would find it equal."""
    if is_number and type(value) is str and value.strip().lower().lstrip("+-") == "nan":
        return nan
    return value
