"""What refusals have in common: they show what was given, shortly, and say which keys there may be. Decides."""

from collections.abc import Iterable
from reprlib import Repr
from typing import Any

from router.errors import Rejected

_MOST_DIGITS = 40


class _Short(Repr):
    """Python refuses to print an integer of thousands of digits, which a file of YAML can hold."""

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if abs(x) < 10**_MOST_DIGITS else f"a number of over {_MOST_DIGITS} digits"


_SHORT = _Short()
_SHORT.maxstring = 140  # a name may have 128 characters
_SHORT.maxlong = _MOST_DIGITS + 1


def shown(value: object) -> str:
    """Whatever was given, as one recognises it; never longer than a sentence can bear."""
    return _SHORT.repr(value)


def _is_word(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier() and len(key) < _SHORT.maxstring


def check_keys(raw: Iterable[Any], allowed: Iterable[str], what: str) -> None:
    """Returns if a mapping has no other keys than these.

    Raises:
        Rejected: it has; the sentence names them, and those that there may be.
    """
    known = tuple(allowed)
    unknown = sorted(key if _is_word(key) else shown(key) for key in raw if key not in known)
    if unknown:
        raise Rejected(f"Unknown key {', '.join(unknown[:5])} in {what}; there may be {', '.join(known)}.")
