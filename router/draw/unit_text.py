"""A unit that a request gives as a JSON or gRPC parameter, as text: the key of the draw.

Front ends draw the same unit with an SDK in JavaScript, which turns every value into text first. So a number is written
as JavaScript writes it (ECMA-262, Number::toString), and 7, 7.0 and "7" are one unit. The rules:

1. Text is the unit itself. An empty text is no unit, like an empty header.
2. true and false are the units "true" and "false".
3. A whole number that arrives as one keeps all its digits up to 10^21, also above 2^53: two ids that differ are two
   units. (A client in JavaScript has rounded such a number before it sends it.)
4. Any other number is written with the fewest digits that tell it apart: 1e21 is "1e+21", 1e-7 is "1e-7", -0 is "0".
"""

import math
from decimal import Decimal

_MOST_DIGITS = 21
_MOST_ZEROS = 6


def unit_text(value: object) -> str | None:
    """Return a parameter's value as a unit, or None if it names none."""
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_MOST_DIGITS else _as_float(value)
    return _number(value) if isinstance(value, float) else str(value)


def _as_float(value: int) -> str:
    try:
        return _number(float(value))
    except OverflowError:
        return "Infinity" if value > 0 else "-Infinity"


def _number(value: float) -> str:
    """Return a number as JavaScript writes it. `repr` gives the same digits, in another layout."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if not value:
        return "0"
    sign, all_digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits, point = "".join(map(str, all_digits)), len(all_digits) + int(exponent)
    return f"{'-' if sign else ''}{_laid_out(digits, point)}"


def _laid_out(digits: str, point: int) -> str:
    """Return the digits with the decimal point after the first `point` of them."""
    if len(digits) <= point <= _MOST_DIGITS:
        return digits + "0" * (point - len(digits))
    if 0 < point <= _MOST_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if -_MOST_ZEROS < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
