"""Helpers for the sentences that reject a document: a short form of any value, and a check of a mapping's keys."""

from collections.abc import Iterable
from reprlib import Repr
from typing import Any

from router.errors import Rejected

_MOST_DIGITS = 40


class _ShortRepr(Repr):
    """A `repr` of limited length. Python refuses to print an integer of thousands of digits, which YAML can hold."""

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if abs(x) < 10**_MOST_DIGITS else f"a number of over {_MOST_DIGITS} digits"


_SHORT = _ShortRepr()
_SHORT.maxstring = 140  # a name may have 128 characters
_SHORT.maxlong = _MOST_DIGITS + 1


def short_repr(value: object) -> str:
    """Return the value's `repr`, shortened so that it fits into a sentence."""
    return _SHORT.repr(value)


def _is_word(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier() and len(key) < _SHORT.maxstring


def check_keys(raw: Iterable[Any], allowed: Iterable[str], what: str) -> None:
    """Reject a mapping that has other keys than the allowed ones.

    Raises:
        Rejected: if there are such keys. The sentence names them and the allowed ones.
    """
    known = tuple(allowed)
    unknown = sorted(key if _is_word(key) else short_repr(key) for key in raw if key not in known)
    if unknown:
        raise Rejected(f"Unknown key {', '.join(unknown[:5])} in {what}; there may be {', '.join(known)}.")
