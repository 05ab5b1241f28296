"""Targeting conditions: what a route may require of a request, in GrowthBook's condition language.

    target: {headers.x-country: {$in: [nl, be]}, parameters.tier: gold, inputs.X.3: {$gte: 0.5}}

All entries of a condition must hold. `$and`, `$or`, `$nor` and `$not` join conditions. The attributes of a request are

- `headers.<name>` (text),
- `parameters.<name>`,
- `unit` (text),
- `inputs.<tensor>` (the first value), and
- `inputs.<tensor>.<index>` (a value of the first instance, flattened).

Each of them is one value, or null if the request has none. An attribute is one key with dots. GrowthBook's nested form,
which compares whole objects, is rejected. `router.spec.operators` checks what an attribute is compared with. The
gateway evaluates conditions (`gateway/inference/targeting.py`).
"""

import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from router.errors import Rejected
from router.spec.operators import GROUPS, ORDERINGS, check_comparison, reject_saved_group, require_list
from router.spec.patterns import LONGEST_VALUE

JOINS = ("$and", "$or", "$nor")
"""Keys of a condition whose value is a list of conditions. The value of `$not` is one condition."""

_MAX_DEPTH = 8
_MAX_SIZE = 256
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_ATTRIBUTES = "headers.<name>, parameters.<name>, inputs.<tensor>, inputs.<tensor>.<index> and unit"
_TEXTS = ("headers", "unit")


class Attribute(NamedTuple):
    """Where to find a value in a request. `offset` counts the flattened values of the first instance of an input."""

    source: str
    name: str
    offset: int = 0


def parse_attribute(path: str, what: str = "target") -> Attribute:
    """Read the path of an attribute.

    A last part of digits is an index, so the first value of a tensor named `x.1` is `inputs.x.1.0`.

    Raises:
        Rejected: if requests have no such attribute.
    """
    source, dot, name = path.partition(".")
    if path == "unit":
        return Attribute("unit", "")
    if source == "headers" and _HEADER.fullmatch(name):
        return Attribute(source, name)
    if source == "headers" and _HEADER.fullmatch(name.lower()):
        raise Rejected(f"{what} asks for {path}; write a header's name in lower case: {path.lower()}.")
    if source == "parameters" and name:
        return Attribute(source, name)
    if source == "inputs" and name:
        tensor, _, index = name.rpartition(".")
        if tensor and re.fullmatch("[0-9]{1,9}", index):
            return Attribute(source, tensor, int(index))
        return Attribute(source, name)
    if source in ("headers", "parameters", "inputs") and not dot:
        raise Rejected(f"{what} asks for {path} as a whole; write which one behind a dot, such as {path}.name.")
    raise Rejected(f"{what} asks for {reprlib.repr(path)}, which no request has; there are {_ATTRIBUTES}.")


def check_condition(raw: object) -> None:
    """Reject what is not a condition, and what cannot be evaluated at a bounded cost.

    Raises:
        Rejected: The sentence names the path to what is wrong.
    """
    _check_size(raw)
    _check_condition(raw, "target")


def attributes_of(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the attributes in a checked condition, each once, in order."""
    return tuple(dict.fromkeys(path for path, _ in entries(raw)))


def ordered_by_number(raw: Mapping[str, Any]) -> frozenset[str]:
    """Return the attributes that a checked condition compares with a number by `$gt`, `$gte`, `$lt` or `$lte`."""
    return frozenset(path for path, value in entries(raw) if _orders_a_number(value))


def entries(condition: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each attribute with what it is compared with, whatever joins them."""
    for key, value in condition.items():
        if key in JOINS:
            for part in value:
                yield from entries(part)
        elif key == "$not":
            yield from entries(value)
        else:
            yield key, value


def _orders_a_number(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return any(
        _orders_a_number(operand) if operator == "$not" else operator in ORDERINGS and not isinstance(operand, str)
        for operator, operand in value.items()
    )


def _check_size(raw: object) -> None:
    """Limit the size of all that later steps and sentences go through. This step does not recurse."""
    pending: list[tuple[object, int]] = [(raw, 1)]
    size = 0
    while pending:
        value, depth = pending.pop()
        size += 1
        if size > _MAX_SIZE:
            raise Rejected(f"target has more than {_MAX_SIZE} conditions and values.")
        if isinstance(value, dict):
            if depth > _MAX_DEPTH:
                raise Rejected(f"target is nested more than {_MAX_DEPTH} deep.")
            pending.extend((each, depth + 1) for each in value.values())
            for key in value:
                _check_scalar(key)
        elif isinstance(value, list):
            pending.extend((each, depth) for each in value)
        else:
            _check_scalar(value)


def _check_scalar(value: object) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_VALUE:
            raise Rejected(f"target holds a text of {len(value)} characters; no value is longer than {LONGEST_VALUE}.")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Rejected("target holds half a character (a lone surrogate), which cannot be stored.")
    elif isinstance(value, int | float):
        if not abs(value) <= 2**63:  # also false for NaN
            raise Rejected("target holds a number that is not finite, or of more than 64 bits.")
    elif value is not None:
        raise Rejected(f"target holds a {type(value).__name__}; values are texts, numbers, true, false or null.")


def _check_condition(raw: object, what: str) -> None:
    if not isinstance(raw, dict):
        raise Rejected(
            f"{what} must be a mapping of attributes, such as {{headers.x-country: nl}}, not {reprlib.repr(raw)}."
        )
    for key, value in raw.items():
        if not isinstance(key, str):
            raise Rejected(f"{what} has the key {reprlib.repr(key)}; the keys are attributes: {_ATTRIBUTES}.")
        where = f"{what}.{key}"
        if key in JOINS:
            for index, part in enumerate(require_list(value, where)):
                _check_condition(part, f"{where}[{index}]")
        elif key == "$not":
            _check_condition(value, where)
        elif key in GROUPS:
            reject_saved_group(where)
        elif key.startswith("$"):
            raise Rejected(f"{where} does not join conditions; $and, $or, $nor and $not do.")
        else:
            check_comparison(value, where, is_text=parse_attribute(key, what).source in _TEXTS)
