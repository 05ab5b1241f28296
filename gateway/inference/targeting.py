"""Which requests a route is for: its targeting condition, held against a request. Decides.

The condition is GrowthBook's, and so is the code that evaluates it, of which nothing is imported before there is a
route with a target: it brings an HTTP client along that nobody uses. What one has to know of its semantics:

- Headers and units are text. Next to a number, `$gt`, `$gte`, `$lt` and `$lte` read text as a number, and text that is
  none does not match. `$eq`, `$in` and a bare value never convert, so `router.spec.condition` refuses numbers there.
- What a request does not have is null. Ordered, null counts as 0: `{headers.x-age: {$lt: 18}}` is true of a request
  without the header, unless `$exists: true` stands beside it.
- A value of an FP32 tensor is the number that it is: of 0.1, 0.10000000149. Ask for ranges.
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
    """A checked condition, compiled: a request is asked only for the attributes that the condition names.

    Of the inputs in `unbatched`, whose first dimension does not count instances, every value is of the first instance.

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
        """Whether the request is one that the route is for. Names of headers are in lower case.

        What cannot be evaluated does not match: nothing that a caller sends makes this raise.
        """
        attributes: dict[str, Value] = {}
        for name, read in self._readers:
            value = read(headers, parameters, inputs, unit)
            if type(value) is str and len(value) > LONGEST_VALUE:
                return False
            attributes[name] = value
        try:
            return self._evaluate(attributes, self._condition)
        except Exception:  # noqa: BLE001  # foreign values meet foreign code; a request must survive whatever that does
            return False


def _renamed(condition: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The condition over attributes without dots in their names, which GrowthBook would take for objects in objects.

    A bare value becomes `$eq`, for Python's own equality, which is GrowthBook's there, holds true and 1 for the same.
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
    """What gets the attribute out of a request; `is_number` says that it is compared with one."""
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
    """The value; but NaN for text that says so and would be compared with a number, since GrowthBook finds it equal."""
    if is_number and type(value) is str and value.strip().lower().lstrip("+-") == "nan":
        return nan
    return value


def _element_of_first(tensor: Tensor | None, offset: int, is_number: bool) -> Value:
    """A value of the first instance; None where it has fewer."""
    if tensor is not None and tensor.ndim and offset * tensor.shape[0] >= tensor.size:
        return None
    return _element(tensor, offset, is_number)


def _element(tensor: Tensor | None, offset: int, is_number: bool) -> Value:
    """A value of a tensor in row-major order; None where it has fewer."""
    if tensor is None or offset >= tensor.size:
        return None
    value = tensor.item(offset)
    return _text(value, is_number) if type(value) is bytes else value
