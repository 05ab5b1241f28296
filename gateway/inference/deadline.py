"""The deadline that a caller gives a prediction, by header, parameter or transport."""

import math
import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import BadRequest
from gateway.protocols.request import Headers

_MAX_DEADLINE_S = 3600.0
_DECIMAL = re.compile(r"[ \t]*\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*").fullmatch


def callers_deadline_s(
    headers: Headers, parameters: Mapping[str, Any], started_s: float, time_left_s: float | None
) -> float | None:
    """Return the time, of `time.perf_counter`, until which the caller waits; None if the caller set no deadline.

    The shortest of three counts: the header `x-deadline-ms`, the parameter `timeout` (microseconds) and `time_left_s`,
    which is the transport's.

    Raises:
        BadRequest: the header or the parameter is no positive number.
    """
    header, parameter = headers.get(b"x-deadline-ms"), parameters.get("timeout")
    if header is None and parameter is None and time_left_s is None:
        return None
    allowed_s = _MAX_DEADLINE_S if time_left_s is None else time_left_s
    if header is not None:
        allowed_s = min(allowed_s, _positive(header, "The header x-deadline-ms (milliseconds)") / 1e3)
    if parameter is not None and parameter != 0:  # in the protocol, a timeout of 0 means no timeout
        allowed_s = min(allowed_s, _positive(parameter, "The parameter timeout (microseconds)") / 1e6)
    return started_s + allowed_s


def _positive(value: object, what: str) -> float:
    """Return the number. Python would also read `inf` and `1_000`, which are no numbers in a header or in JSON."""
    try:
        if isinstance(value, bytes | str):
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            number = float(text) if _DECIMAL(text) else math.nan
        else:
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.nan
    if not 0 < number < math.inf:
        raise BadRequest(f"{what} must be a positive number.")
    return number
