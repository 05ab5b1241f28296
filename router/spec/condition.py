"""Targeting conditions: what may be asked of a request, in GrowthBook's condition language. Decides.

    target: {headers.x-country: {$in: [nl, be]}, parameters.tier: gold, inputs.X.3: {$gte: 0.5}}

All entries of a condition must hold; `$and`, `$or`, `$nor` and `$not` join conditions. The attributes of a request are
`headers.<name>` (text), `parameters.<name>`, `unit` (text), `inputs.<tensor>` (the first value) and
`inputs.<tensor>.<index>` (a value of the first instance, flattened). Each of them is one value or, where the request
has none, null; so operators that ask for a list are refused, and so is what can never hold. Attributes are written in
one, with dots; GrowthBook's nested form, which compares whole objects, is refused too. Evaluating is the gateway's
(`gateway/inference/targeting.py`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from reprlib import repr as shown  # what is shown may be long
from typing import Any, NamedTuple

from router.errors import Rejected
from router.spec.patterns import LONGEST_VALUE, check_pattern

JOINS = ("$and", "$or", "$nor")
"""Keys of a condition whose value is a list of conditions; that of `$not` is one condition."""

_MAX_DEPTH = 8
_MAX_SIZE = 256
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_ATTRIBUTES = "headers.<name>, parameters.<name>, inputs.<tensor>, inputs.<tensor>.<index> and unit"
_TEXTS = ("headers", "unit")
_TYPES = ("string", "number", "boolean", "null")
_LISTS = ("$elemMatch", "$size", "$all", "$alli")
_GROUPS = ("$inGroup", "$notInGroup", "$savedGroup", "$savedGroups")
_ORDERINGS = ("$gt", "$gte", "$lt", "$lte")


class Attribute(NamedTuple):
    """Where a value of a request is. `offset` counts the flattened values of the first instance of an input."""

    source: str
    name: str
    offset: int = 0


def parse_attribute(path: str, what: str = "target") -> Attribute:
    """Reads an attribute's path.

    A last part of digits is an index: the first value of a tensor named `x.1` is `inputs.x.1.0`.

    Raises:
        Rejected: there is no such attribute.
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
    raise Rejected(f"{what} asks for {shown(path)}, which no request has; there are {_ATTRIBUTES}.")


def check_condition(raw: object) -> None:
    """Returns if this is a condition that can be evaluated at a bounded cost.

    Raises:
        Rejected: it is not; the sentence names the path to what is wrong.
    """
    _check_size(raw)
    _check_condition(raw, "target")


def attributes_of(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of the attributes that a checked condition asks for, each once, in order."""
    return tuple(dict.fromkeys(path for path, _ in entries(raw)))


def ordered_by_number(raw: Mapping[str, Any]) -> frozenset[str]:
    """The attributes among them that are held against a number with `$gt`, `$gte`, `$lt` or `$lte`."""
    return frozenset(path for path, value in entries(raw) if _orders_a_number(value))


def entries(condition: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All (attribute, what is asked of it) in a condition, whatever joins them."""
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
        _orders_a_number(operand) if operator == "$not" else operator in _ORDERINGS and not isinstance(operand, str)
        for operator, operand in value.items()
    )


def _check_size(raw: object) -> None:
    """Bounds everything that later steps, and sentences, go through; itself without recursion."""
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
        if not abs(value) <= 2**63:  # nor is NaN
            raise Rejected("target holds a number that is not finite, or of more than 64 bits.")
    elif value is not None:
        raise Rejected(f"target holds a {type(value).__name__}; values are texts, numbers, true, false or null.")


def _check_condition(raw: object, what: str) -> None:
    if not isinstance(raw, dict):
        raise Rejected(f"{what} must be a mapping of attributes, such as {{headers.x-country: nl}}, not {shown(raw)}.")
    for key, value in raw.items():
        if not isinstance(key, str):
            raise Rejected(f"{what} has the key {shown(key)}; the keys are attributes: {_ATTRIBUTES}.")
        where = f"{what}.{key}"
        if key in JOINS:
            for index, part in enumerate(_list(value, where)):
                _check_condition(part, f"{where}[{index}]")
        elif key == "$not":
            _check_condition(value, where)
        elif key in _GROUPS:
            raise _no_groups(where)
        elif key.startswith("$"):
            raise Rejected(f"{where} does not join conditions; $and, $or, $nor and $not do.")
        else:
            _check_value(value, where, is_text=parse_attribute(key, what).source in _TEXTS)


def _check_value(value: object, where: str, is_text: bool) -> None:
    """What is asked of one attribute: a value that it must equal, or operators that must all hold."""
    if not isinstance(value, dict):
        _check_equal(value, where, is_text)
        return
    if not value:
        raise Rejected(f"{where} asks for nothing; give a value or an operator, such as {{$in: [nl, be]}}.")
    for operator, operand in value.items():
        if not isinstance(operator, str) or not operator.startswith("$"):
            raise Rejected(
                f"{where} holds {shown(operator)}; give an operator, such as {{$in: [nl, be]}}, "
                "and write the path to an attribute in one, with dots."
            )
        path = f"{where}.{operator}"
        if operator in _GROUPS:
            raise _no_groups(path)
        if operator in _LISTS:
            raise Rejected(f"{path} asks for a list, and an attribute of a request is one value.")
        if operator not in _CHECKS:
            raise Rejected(f"{path} is not an operator; there are {', '.join(_CHECKS)}.")
        _CHECKS[operator](operand, path, is_text)


def _no_groups(where: str) -> Rejected:
    return Rejected(
        f"{where} asks for a saved group, which only GrowthBook's own server knows; list the values in $in."
    )


def _list(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise Rejected(f"{where} must be a list, not {shown(value)}.")
    return value


def _check_equal(operand: object, where: str, is_text: bool) -> None:
    if isinstance(operand, list | dict):
        raise Rejected(
            f"{where} compares with a list or a mapping, and an attribute of a request is one value; use $in."
        )
    if is_text and isinstance(operand, int | float):  # bool is an int
        raise Rejected(
            f"{where} compares text with {operand!r}, which it never equals; put it in quotes, or use $gte and $lte."
        )


def _check_any_of(operand: object, where: str, is_text: bool) -> None:
    for each in _list(operand, where):
        _check_equal(each, where, is_text)


def _check_order(operand: object, where: str, _is_text: bool) -> None:
    if isinstance(operand, bool) or not isinstance(operand, int | float | str):
        raise Rejected(f"{where} must be a number or a text, not {shown(operand)}.")


def _check_version(operand: object, where: str, _is_text: bool) -> None:
    if not isinstance(operand, str):
        raise Rejected(f"{where} must be a version in quotes, such as '1.10.0', not {shown(operand)}.")


def _check_pattern(operand: object, where: str, _is_text: bool) -> None:
    check_pattern(operand, where)


def _check_exists(operand: object, where: str, _is_text: bool) -> None:
    if not isinstance(operand, bool):
        raise Rejected(f"{where} must be true or false, not {shown(operand)}.")


def _check_type(operand: object, where: str, _is_text: bool) -> None:
    if operand not in _TYPES:
        raise Rejected(f"{where} must be one of {', '.join(_TYPES)}, not {shown(operand)}.")


_CHECKS: dict[str, Callable[[object, str, bool], None]] = {
    **dict.fromkeys(("$eq", "$ne"), _check_equal),
    **dict.fromkeys(_ORDERINGS, _check_order),
    **dict.fromkeys(("$in", "$nin", "$ini", "$nini"), _check_any_of),
    **dict.fromkeys(("$regex", "$regexi", "$notRegex", "$notRegexi"), _check_pattern),
    **dict.fromkeys(("$veq", "$vne", "$vgt", "$vgte", "$vlt", "$vlte"), _check_version),
    "$exists": _check_exists,
    "$type": _check_type,
    "$not": _check_value,
}
"""By operator, the check of its operand."""
