"""Says why a JSON text cannot be read, where the parser's own words would mislead."""

import re

import msgspec

_NO_PAIR = "a \\u escape is half of a UTF-16 surrogate pair without the other half, so it stands for no character"
_half_a_pair = re.compile(rb"(?<!\\)(?:\\\\)*+\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])").search
_MISLEADING = ("truncated", "hex escape")


def json_fault(error: Exception, content: bytes | msgspec.Raw) -> str:
    """Return the reason, as a clause. The parser takes half a pair near the end of a text for a truncated text."""
    reason = str(error)
    is_misleading = any(words in reason for words in _MISLEADING)
    if "surrogate" in reason or (is_misleading and _half_a_pair(content)):
        return _NO_PAIR
    return reason
