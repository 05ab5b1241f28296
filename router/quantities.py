"""Parse and print the quantities in documents: shares (`90%`, `0.9`) and durations (`200ms`, `10m`)."""

import re
from fractions import Fraction

from router.errors import Rejected
from router.refusals import short_repr

# The exponent is limited because Fraction("1e999999999") would be computed digit by digit.
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,30})?(e-[0-9]{1,2})?")
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(us|ms|s|m|h|d)")
_DECIMALS = 30
_LEAST = Fraction(1, 10_000)  # a slot
_LONGEST_S = 365 * 86_400
_SECONDS = {
    "us": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_WHOLE_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def parse_share(value: object, what: str) -> Fraction:
    """Read a share of the traffic exactly. `"90%"` and `0.9` are both 9/10.

    Raises:
        Rejected: if it is neither a number nor a percentage, is outside [0, 1], or has more than 30 decimals.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Rejected(f"{what} must be a share such as 90% or 0.9, not {short_repr(value)}.")
    text = (value if isinstance(value, str) else short_repr(value)).strip()
    number = text.removesuffix("%").rstrip()
    if not _NUMBER.fullmatch(number):
        raise Rejected(f"{what} must be a share such as 90% or 0.9, not {short_repr(value)}.")
    share = Fraction(number) / (100 if text.endswith("%") else 1)
    if not 0 <= share <= 1:
        raise Rejected(f"{what} is {value}; a share lies between 0% and 100%.")
    if (share * 10**_DECIMALS).denominator != 1:
        raise Rejected(f"{what} is {value}; a share has at most {_DECIMALS} decimals.")
    return share


def parse_percent(value: object, what: str) -> Fraction:
    """Read a share that is given in percent, with or without the sign. `20` and `"20%"` are both 1/5.

    Where `parse_share` reads a bare number, it is a share: 0.9 is 90%. So that no fraction has two meanings, a bare one
    below 1 is refused here. A whole number is a percentage, also 1.

    Raises:
        Rejected: if it is not a number, is outside [0, 100], or may mean a share.
    """
    given = (value if isinstance(value, str) else short_repr(value)).strip()
    text = given.removesuffix("%").strip()
    if not _NUMBER.fullmatch(text):
        raise Rejected(f"{what} must be a percentage such as 20%, not {short_repr(value)}.")
    share = parse_share(f"{text}%", what)
    if text == given and 0 < share < Fraction(1, 100):
        possible = [format_share(each) for each in (share, 100 * share) if each >= _LEAST]
        if not possible:
            raise Rejected(f"{what} is {text}; the least is {format_share(_LEAST)}.")
        raise Rejected(f"{what} is {text}, which may mean {' or '.join(possible)}; give it with its sign.")
    return share


def parse_duration_s(value: object, what: str) -> float:
    """Read a duration as seconds. `"200ms"` is 0.2.

    Raises:
        Rejected: if it has no unit, is not a number, is zero, holds a fraction of a microsecond, or exceeds a year.
    """
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise Rejected(f"{what} must be a duration with its unit, such as 200ms, 10s or 5m, not {short_repr(value)}.")
    seconds = Fraction(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= _LONGEST_S or (seconds * 1_000_000).denominator != 1:
        raise Rejected(f"{what} is {value}; it must be a whole number of microseconds, at least one and at most 365d.")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """Return a duration in the largest unit of which it is a whole number, exact to the microsecond.

    `parse_duration_s` reads it back.
    """
    micros = Fraction(round(seconds * 1_000_000), 1_000_000)
    unit = max((name for name in _SECONDS if (micros / _SECONDS[name]).denominator == 1), key=_SECONDS.__getitem__)
    return f"{micros / _SECONDS[unit]}{unit}"


def format_rough_duration(seconds: float) -> str:
    """Write a duration for people: `0.4s`, `42s`, `3m 20s`, `2h 5m`.

    The result has at most two units, and leaves the smaller one out where it is zero.
    """
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    index = next(index for index, (_, length) in enumerate(_WHOLE_UNITS) if whole >= length)
    name, length = _WHOLE_UNITS[index]
    text = f"{whole // length}{name}"
    if index + 1 < len(_WHOLE_UNITS):
        smaller_name, smaller = _WHOLE_UNITS[index + 1]
        if whole % length // smaller:
            text += f" {whole % length // smaller}{smaller_name}"
    return text


def format_percent(share: Fraction) -> str:
    """Return `Fraction(9, 10)` as `90%`, with at most two decimals, which is the resolution of a slot."""
    return f"{float(share * 100):.2f}".rstrip("0").rstrip(".") + "%"


def format_share(share: Fraction) -> str:
    """Return a share of `parse_share` exactly, with as many decimals as it needs, such as `1.5%`."""
    digits = f"{int(share * 10**_DECIMALS):0{_DECIMALS + 1}d}"
    point = len(digits) - _DECIMALS + 2
    return f"{int(digits[:point])}.{digits[point:]}".rstrip("0").rstrip(".") + "%"
