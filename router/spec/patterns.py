"""Rejecting regular expressions whose match could take long.

Operators write the patterns, and callers send the values. Python's matcher tries the ways in which a pattern can match
one after the other, on the event loop, and a caller can send the value for which it must try all of them. So the ways
are counted beforehand, from the parsed pattern, and a pattern with too many ways is rejected:

- Repeats multiply. `.*` has as many ways as the value has characters.
- Repeats of repeats and of alternatives raise to a power.
- Alternatives add up.
- Unless it begins with ^, a pattern is tried at each character.
"""

import re
import reprlib
from collections.abc import Iterable

# The parser has no public name (`sre_parse` warns). Its tree is that of the Python version that pyproject.toml pins.
from re import _parser  # type: ignore[attr-defined]  # typeshed describes only what is public
from typing import Any

from router.errors import Rejected

LONGEST_VALUE = 1_024
"""The most characters of a value that is matched. A longer value matches nothing."""

_LONGEST_PATTERN = 256
_MOST_WAYS = 5_000_000
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_ANCHORS = ("AT_BEGINNING", "AT_BEGINNING_STRING")


def check_pattern(pattern: object, what: str) -> None:
    """Reject a pattern that does not compile, or that may take long to match.

    Raises:
        Rejected: if it does not compile, or has too many ways to match.
    """
    if not isinstance(pattern, str):
        raise Rejected(f"{what} must be a regular expression in quotes, not {reprlib.repr(pattern)}.")
    if len(pattern) > _LONGEST_PATTERN:
        raise Rejected(f"{what} has {len(pattern)} characters; a regular expression may have {_LONGEST_PATTERN}.")
    try:
        re.compile(pattern)
        parsed = _parser.parse(pattern)
    except (re.error, OverflowError) as error:
        raise Rejected(f"{what} is no regular expression: {error}.") from error
    anchored = len(parsed) > 0 and str(parsed[0][1]) in _ANCHORS and not parsed.state.flags & re.MULTILINE
    if _ways(parsed) * (1 if anchored else LONGEST_VALUE) > _MOST_WAYS:
        raise Rejected(
            f"{what} can match a value in so many ways that a request might wait for it; do without a repeat inside "
            "a repeat, without alternatives in one, with fewer of them, or begin it with ^."
        )


def _ways(items: Iterable[tuple[Any, Any]]) -> int:
    """Count the ways in which a sequence can match, up to the limit."""
    ways = 1
    for operation, argument in items:
        ways = min(ways * _ways_of(str(operation), argument), _MOST_WAYS + 1)
    return ways


def _ways_of(operation: str, argument: Any) -> int:
    if operation in _REPEATS:
        least, most, body = argument
        return _ways_repeated(_ways(body), body.getwidth()[0] == 0, int(least), min(int(most), LONGEST_VALUE))
    if operation == "BRANCH":
        return sum(map(_ways, argument[1]))
    if operation == "SUBPATTERN":
        return _ways(argument[3])
    if operation == "ATOMIC_GROUP":
        return _ways(argument)
    if operation in ("ASSERT", "ASSERT_NOT"):
        return _ways(argument[1])
    if operation == "GROUPREF_EXISTS":
        return _ways(argument[1]) + _ways(argument[2] or ())
    return LONGEST_VALUE if operation == "GROUPREF" else 1  # a group reference compares each character of its group


def _ways_repeated(ways: int, may_be_empty: bool, least: int, most: int) -> int:
    """Return the sum of ways^k over k from `least` to `most`.

    A body that may be empty counts as two ways at least, because it can repeat without consuming a character.
    """
    if may_be_empty:
        ways = max(ways, 2)
    if ways == 1:
        return max(most - least, 0) + 1
    total = 0
    for times in range(least, max(least, most) + 1):
        total += ways ** min(times, 64)
        if total > _MOST_WAYS:
            break
    return total
