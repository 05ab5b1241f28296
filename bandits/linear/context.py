"""What a route declares as the context of its decisions, and how a context becomes a vector of integers.

Rules:

- The first feature is the intercept. It is always `SCALE`.
- A number with the range [low, high] becomes (value - low) / (high - low), in fixed point. A value beyond its range,
  also an infinite one, counts as the end of the range.
- None, NaN and text that is no number are missing. A missing number is the declared `fill`. Without one it has
  a second feature, which says that it is missing, and the first one is 0.
- A category has one feature for each word of its vocabulary, one for all other words, and one for None, NaN and "".
  Exactly one of them is `SCALE`.

So every feature lies in [0, SCALE], whatever a client sends, and `encode` never fails for what a client sends.

`SCALE` is 8,192. Finer steps could not be learnt: for a feature that stays below 1/8192 of its range, the sum of
squares of 67 million decisions is below 1, which is what the ridge penalty adds, so its coefficient stays near 0.
Coarser steps save nothing: with these, exact sums of 1.1e9 decisions fit 63 bits (`sums.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bandits.errors import BanditError

SCALE = 8192
"""What the integer of a feature is divided by: a power of two, so that the division is exact."""

MOST_FEATURES = 64
"""The most features after encoding, with the intercept. The sums of an arm grow with the square of it."""

Value = float | str | None
"""What a column may hold: a number (also a bool), text, or nothing."""


@dataclass(frozen=True)
class Number:
    """A numeric column: its range, and what a missing value counts as. Without `fill`, missing is a feature."""

    name: str
    low: float
    high: float
    fill: float | None = None

    def __post_init__(self) -> None:
        """Check the range.

        Raises:
            BanditError: if the range is empty or has no finite length, or `fill` lies outside it.
        """
        if not (self.high > self.low and math.isfinite(self.high - self.low)):
            raise BanditError(
                f"Give the number {self.name} of the context a finite range whose low end is below its high end; "
                f"it is {self.low:g} to {self.high:g}."
            )
        if self.fill is not None and not self.low <= self.fill <= self.high:
            raise BanditError(
                f"Fill the missing number {self.name} of the context with a value of its range, {self.low:g} to "
                f"{self.high:g}; {self.fill:g} is none."
            )

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features."""
        return (self.name,) if self.fill is not None else (self.name, f"{self.name} is missing")

    def encode(self, value: Value) -> tuple[int, ...]:
        """Return its features."""
        low, high = self.low, self.high
        number = value if type(value) is float and value == value else _number(value)
        if number is None:
            if self.fill is None:
                return (0, SCALE)
            number = self.fill
        # Comparing first: an int may be too large for a float.
        inside = low if number < low else min(number, high)
        scaled = round((inside - low) / (high - low) * SCALE)
        return (scaled,) if self.fill is not None else (scaled, 0)


@dataclass(frozen=True)
class Category:
    """A column of words, with the vocabulary that is known."""

    name: str
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the vocabulary.

        Raises:
            BanditError: if it is empty, repeats a word, or has the empty word.
        """
        if not self.words or len(set(self.words)) < len(self.words) or "" in self.words:
            raise BanditError(
                f"Give the category {self.name} of the context a vocabulary of different words, none of them empty."
            )

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features."""
        named = tuple(f"{self.name} is {word!r}" for word in self.words)
        return (*named, f"{self.name} is another word", f"{self.name} is missing")

    def encode(self, value: Value) -> tuple[int, ...]:
        """Return its features."""
        return self._rows[self._places.get(_word(value), len(self.words))]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)} | {"": len(self.words) + 1}

    @cached_property
    def _rows(self) -> tuple[tuple[int, ...], ...]:
        size = len(self.features)
        return tuple(tuple(SCALE if place == hot else 0 for place in range(size)) for hot in range(size))


Column = Number | Category


@dataclass(frozen=True)
class Context:
    """The columns of a route's context, in the order in which their features follow the intercept."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        """Check the columns together.

        Raises:
            BanditError: if there are none, two have the same name, or they make more than `MOST_FEATURES` features.
        """
        names = [column.name for column in self.columns]
        if not names:
            raise BanditError("Give the context at least one column, or choose a policy that has no context.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BanditError(f"Give each column of the context a name of its own; {', '.join(twice)} is there twice.")
        if len(self.features) > MOST_FEATURES:
            raise BanditError(
                f"Declare a smaller context: it has {len(self.features)} features with the intercept, and at most "
                f"{MOST_FEATURES} are allowed. A category has two features more than words."
            )

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in the order of the vector."""
        return ("intercept", *(name for column in self.columns for name in column.features))

    def encode(self, values: Sequence[Value]) -> tuple[int, ...]:
        """Return the vector of a context, of which `values` are those of the columns, in their order."""
        vector = [SCALE]
        for value, (column, low, high, length) in zip(values, self._steps, strict=True):
            if type(value) is float and low <= value <= high:
                vector.append(round((value - low) / length * SCALE))  # as `Number.encode` does, without a call
            else:
                vector += column.encode(value)
        return tuple(vector)

    @cached_property
    def _steps(self) -> tuple[tuple[Column, float, float, float], ...]:
        """Each column with the ends and the length of its range. It is empty unless the column is one number."""
        return tuple(
            (column, column.low, column.high, column.high - column.low)
            if isinstance(column, Number) and column.fill is not None
            else (column, 1.0, 0.0, 0.0)
            for column in self.columns
        )


def _number(value: Value) -> float | None:
    """Return the number that a value is, or None if it is missing."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return None if value is None or value != value else value  # only NaN differs from itself


def _word(value: Value) -> str:
    """Return the word that a value is: "true" and "false", a whole number without a point, "" if it is missing."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _text(value)


def _text(value: float | str) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to print an integer of thousands of digits, and no vocabulary has it
        return "a number of thousands of digits"
