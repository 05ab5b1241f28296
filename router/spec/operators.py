"""The operators of a targeting condition, each with the check of its operand.

An attribute of a request is one value or null. So operators that need a list are rejected, and so is a comparison that
can never hold.
"""

import reprlib
from collections.abc import Callable, Sequence
from typing import NoReturn

from router.errors import Rejected
from router.spec.patterns import check_pattern

GROUPS = ("$inGroup", "$notInGroup", "$savedGroup", "$savedGroups")
ORDERINGS = ("$gt", "$gte", "$lt", "$lte")
_LISTS = ("$elemMatch", "$size", "$all", "$alli")
_TYPES = ("string", "number", "boolean", "null")

_Check = Callable[[object, str, bool], None]
"""A check of an operand, given the path to it and true if the attribute is text. It raises `Rejected`."""


def check_comparison(value: object, where: str, is_text: bool) -> None:
    """Check what one attribute is compared with: a value that it must equal, or operators that must all hold.

    Raises:
        Rejected: if it cannot be evaluated, or can never hold.
    """
    if not isinstance(value, dict):
        _check_equal(value, where, is_text)
        return
    if not value:
        raise Rejected(f"{where} asks for nothing; give a value or an operator, such as {{$in: [nl, be]}}.")
    for operator, operand in value.items():
        if not isinstance(operator, str) or not operator.startswith("$"):
            raise Rejected(
                f"{where} holds {reprlib.repr(operator)}; give an operator, such as {{$in: [nl, be]}}, "
                "and write the path to an attribute in one, with dots."
            )
        path = f"{where}.{operator}"
        if operator in GROUPS:
            reject_saved_group(path)
        if operator in _LISTS:
            raise Rejected(f"{path} asks for a list, and an attribute of a request is one value.")
        if operator not in _CHECKS:
            raise Rejected(f"{path} is not an operator; there are {', '.join(_CHECKS)}.")
        _CHECKS[operator](operand, path, is_text)


def require_list(value: object, where: str) -> Sequence[object]:
    """Return the value if it is a list.

    Raises:
        Rejected: if it is not.
    """
    if not isinstance(value, list):
        raise Rejected(f"{where} must be a list, not {reprlib.repr(value)}.")
    return value


def reject_saved_group(where: str) -> NoReturn:
    """Raise the refusal of an operator that needs a saved group.

    Raises:
        Rejected: always.
    """
    raise Rejected(f"{where} asks for a saved group, which only GrowthBook's own server knows; list the values in $in.")


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
    for each in require_list(operand, where):
        _check_equal(each, where, is_text)


def _must_be(words: str, is_allowed: Callable[[object], bool]) -> _Check:
    """Return a check that rejects other operands with the words for what is allowed."""

    def check(operand: object, where: str, _is_text: bool) -> None:
        if not is_allowed(operand):
            raise Rejected(f"{where} must be {words}, not {reprlib.repr(operand)}.")

    return check


def _is_number_or_text(operand: object) -> bool:
    return isinstance(operand, int | float | str) and not isinstance(operand, bool)


_CHECKS: dict[str, _Check] = {
    **dict.fromkeys(("$eq", "$ne"), _check_equal),
    **dict.fromkeys(ORDERINGS, _must_be("a number or a text", _is_number_or_text)),
    **dict.fromkeys(("$in", "$nin", "$ini", "$nini"), _check_any_of),
    **dict.fromkeys(
        ("$regex", "$regexi", "$notRegex", "$notRegexi"),
        lambda operand, where, _is_text: check_pattern(operand, where),
    ),
    **dict.fromkeys(
        ("$veq", "$vne", "$vgt", "$vgte", "$vlt", "$vlte"),
        _must_be("a version in quotes, such as '1.10.0'", lambda operand: isinstance(operand, str)),
    ),
    "$exists": _must_be("true or false", lambda operand: isinstance(operand, bool)),
    "$type": _must_be(f"one of {', '.join(_TYPES)}", lambda operand: operand in _TYPES),
    "$not": check_comparison,
}
"""The operators that are allowed, with the check of each operand."""
