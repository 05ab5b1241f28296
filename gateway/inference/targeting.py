"""Targeting: which requests take part in a route's draw. A condition is evaluated on each request.

The conditions are GrowthBook's, and GrowthBook's library evaluates them. The library is imported when the first route
with a target appears, because it imports an HTTP client that we do not need. Its semantics:

- Headers and units are text. Beside a number, `$gt`, `$gte`, `$lt` and `$lte` read text as a number. Text that is not a
  number does not match. `$eq`, `$in` and a bare value never convert, so `router.spec.condition` rejects numbers there.
- An attribute that a request lacks is null. In an order, null counts as 0: `{headers.x-age: {$lt: 18}}` is true for a
  request without the header, unless `$exists: true` stands beside it.
- A value of an FP32 tensor is compared as it is stored: 0.1 is 0.10000000149. Use ranges.
"""

from collections.abc import Callable, Container, Mapping
from math import nan
from typing import Any

from router.spec.condition import JOINS, Attribute, attributes_of, ordered_by_number, parse_attribute
from router.spec.patterns import LONGEST_VALUE
from runtimes.datatypes import Tensor

Value = str | int | float | bool | None
_Reader = Callable[[Mapping[bytes, bytes], Mapping[str, Any], Mapping[str, Tensor], str | None], Value]


class Targeting:
    """A compiled condition. It reads only the attributes that the condition names.

    The first dimension of the inputs in `unbatched` does not count instances, so all of their values belong to the
    first instance.

    Raises:
        Rejected: the condition names an attribute that no request has.
    """

    def __init__(self, condition: Mapping[str, Any], unbatched: Container[str] = ()) -> None:
        from growthbook.core import evalCondition  # takes 0.1 to 0.5 s, once

        numbers = ordered_by_number(condition)
        names = {path: str(number) for number, path in enumerate(attributes_of(condition))}
        self._evaluate = evalCondition
        self._condition = _renamed(condition, names)
        self._readers = [
            (name, _reader(parse_attribute(path), path in numbers, unbatched)) for path, name in names.items()
        ]

    def matches(
        self,
        headers: Mapping[bytes, bytes],
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Tensor],
        unit: str | None,
    ) -> bool:
        """Return True if the condition holds for the request. Names of headers are in lower case.

        A request for which it cannot be evaluated does not match. No request makes this raise.
        """
        attributes: dict[str, Value] = {}
        for name, read in self._readers:
            value = read(headers, parameters, inputs, unit)
            if type(value) is str and len(value) > LONGEST_VALUE:
                return False
            attributes[name] = value
        try:
            return self._evaluate(attributes, self._condition)
        except Exception:  # noqa: BLE001  # callers' values meet a library's code; no error there may fail a request
            return False


def _renamed(condition: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the condition with attribute names that have no dots: GrowthBook reads dots as nested objects.

    A bare value becomes `$eq`. For bare values GrowthBook uses Python's equality, in which True equals 1.
    """
    renamed: dict[str, Any] = {}
    for key, value in condition.items():
        if key in JOINS:
            renamed[key] = [_renamed(part, names) for part in value]
        elif key == "$not":
            renamed[key] = _renamed(value, names)
        else:
            renamed[names[key]] = value if isinstance(value, dict | list) else {"$eq": value}
    return renamed


def _reader(attribute: Attribute, is_number: bool, unbatched: Container[str]) -> _Reader:
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
