"""The declared context of a bandit: which attributes of a request its weights depend on.

    context:
      headers.x-device: [phone, desktop]              # a category, with the words that are known
      parameters.age: {from: 18, to: 99, missing: 40} # a number, with its range
      inputs.x.3: {from: 0, to: 16}

The attributes are those of a target (`router.spec.condition`). A number beyond its range counts as its end. One that is
missing counts as `missing`; without it, that it is missing is a feature of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.errors import Rejected
from router.refusals import check_keys, short_repr
from router.spec.condition import Attribute, parse_attribute

_LONGEST_WORD = 128
_MOST_WORDS = 64


@dataclass(frozen=True, slots=True)
class ContextColumn:
    """One attribute of a context: a category with `words`, or a number from `low` to `high`.

    `fill` is what a missing number counts as, or None.
    """

    path: str
    words: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    fill: float | None = None

    @property
    def attribute(self) -> Attribute:
        """Where to find it in a request."""
        return parse_attribute(self.path, "context")


def parse_context(raw: object, what: str) -> tuple[ContextColumn, ...]:
    """Read a context.

    Raises:
        Rejected: if it is no legal context.
    """
    if raw is None:
        return ()
    if not isinstance(raw, dict) or not raw:
        raise Rejected(
            f"{what} must say which attributes of a request count, such as "
            "{headers.x-device: [phone, desktop], parameters.age: {from: 18, to: 99}}."
        )
    return tuple(_parse_column(path, each, what) for path, each in raw.items())


def unparse_context(columns: tuple[ContextColumn, ...]) -> dict[str, Any]:
    """Return the declaration of a context."""
    return {column.path: _unparse_column(column) for column in columns}


def _parse_column(path: object, raw: object, what: str) -> ContextColumn:
    if not isinstance(path, str):
        raise Rejected(f"{what} names {short_repr(path)}; name attributes such as parameters.age.")
    parse_attribute(path, what)
    if isinstance(raw, list):
        return ContextColumn(path, words=_parse_words(raw, f"{what}.{path}"))
    if isinstance(raw, dict):
        return _parse_number(path, raw, f"{what}.{path}")
    raise Rejected(
        f"{what}.{path} must be the words of a category, such as [phone, desktop], or the range of a number, such as "
        f"{{from: 0, to: 1}}, not {short_repr(raw)}."
    )


def _parse_words(raw: list[Any], what: str) -> tuple[str, ...]:
    if not 0 < len(raw) <= _MOST_WORDS:
        raise Rejected(f"{what} must have 1 to {_MOST_WORDS} words, not {len(raw)}.")
    for word in raw:
        if not isinstance(word, str) or not 0 < len(word) <= _LONGEST_WORD:
            raise Rejected(f"{what} has {short_repr(word)}; a word is text, in quotes if it looks like a number.")
    if len(set(raw)) < len(raw):
        raise Rejected(f"{what} has a word twice.")
    return tuple(raw)


def _parse_number(path: str, raw: Mapping[str, Any], what: str) -> ContextColumn:
    check_keys(raw, ("from", "to", "missing"), what)
    low, high = (_finite(raw.get(key), f"{what}.{key}") for key in ("from", "to"))
    fill = None if raw.get("missing") is None else _finite(raw["missing"], f"{what}.missing")
    if not low < high or not math.isfinite(high - low):
        raise Rejected(f"{what}.from must be below {what}.to.")
    if fill is not None and not low <= fill <= high:
        raise Rejected(f"{what}.missing must lie in the range from {low:g} to {high:g}; {fill:g} does not.")
    return ContextColumn(path, low=low, high=high, fill=fill)


def _finite(raw: object, what: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise Rejected(f"{what} must be a number, not {short_repr(raw)}.")
    return float(raw)


def _unparse_column(column: ContextColumn) -> list[str] | dict[str, float]:
    if column.words:
        return list(column.words)
    declared = {"from": column.low, "to": column.high}
    return declared if column.fill is None else declared | {"missing": column.fill}
