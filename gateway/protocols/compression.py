"""HTTP content codings: gzip and deflate, in both directions, with a limit on what is decompressed."""

import re
import zlib
from functools import lru_cache

from gateway.errors import BadRequest, TooLarge

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""zlib's code for the wrapper around the compressed data."""
_ALIASES = {"x-gzip": "gzip"}
_FAST = 1
_MAX_MEMBERS = 1024
_MAX_RATIO, _ANY_RATIO_BYTES = 100, 1024 * 1024
"""What is longer than this may be at most so many times as long as it came. Numbers as text shrink 2 to 20 times."""
_TRIED_ABOVE_BYTES, _SAMPLE_BYTES, _WORTH = 64 * 1024, 16 * 1024, 0.85
_STEP_BYTES = 64 * 1024
_MOST_REMEMBERED = 256
"""Longer values of Accept-Encoding are read each time. They may be as long as a head: 32 KiB."""
_ITEM = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.ASCII)


def decompress(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """Return `body` without its Content-Encoding. Never hold more than `max_bytes` of the result.

    Raises:
        BadRequest: an unknown encoding, more than one encoding, or content that is damaged or cut short.
        TooLarge: the result would be longer than `max_bytes`.
    """
    name = encoding.decode("latin-1").strip().lower()
    name = _ALIASES.get(name, name)
    if name in ("", "identity"):
        return body
    if name not in _WINDOW_BITS:
        raise BadRequest(f"Content-Encoding {name!r} is not supported; send gzip, deflate or neither.")
    try:
        return _inflate(body, name, max_bytes)
    except zlib.error as error:
        raise BadRequest(f"The body is not {name}: {error}.") from error


def _inflate(body: bytes, name: str, max_bytes: int) -> bytes:
    """Decompress member by member, since gzip files may be concatenated.

    Input goes in by small steps. zlib copies what a step leaves over, and a small rest is cheap to copy.
    """
    view, at, parts, size = memoryview(body), 0, [], 0
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_WINDOW_BITS[name])
        while not member.eof:
            step = member.unconsumed_tail or view[at : at + _STEP_BYTES]
            if not step:
                raise BadRequest(f"The body ends before its {name} content does.")
            at += 0 if member.unconsumed_tail else len(step)
            parts.append(member.decompress(step, max_bytes + 1 - size))
            size += len(parts[-1])
            if size > max_bytes:
                raise TooLarge(f"The body is larger than {max_bytes} bytes when decompressed; send fewer instances.")
            if size > _ANY_RATIO_BYTES and size > _MAX_RATIO * at:
                raise TooLarge(f"The body is over {_MAX_RATIO} times as long when decompressed; send it as it is.")
        at -= len(member.unused_data)
        if at == len(view):
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if name != "gzip":
            raise BadRequest(f"The body has {len(view) - at} bytes more than its {name} content.")
    raise BadRequest(f"The body has more than {_MAX_MEMBERS} gzip members.")


def choose(accept_encoding: bytes) -> str | None:
    """Return the coding for the response to a request with this Accept-Encoding. None means uncompressed.

    It is the coding to which the client gives the highest weight. At equal weights gzip comes before deflate, and both
    come before none.
    """
    return _remembered(accept_encoding) if len(accept_encoding) <= _MOST_REMEMBERED else _chosen(accept_encoding)


def _chosen(accept_encoding: bytes) -> str | None:
    weights: dict[str, float] = {}
    for item in accept_encoding.decode("latin-1").lower().split(","):
        match = _ITEM.fullmatch(item)
        if match is not None:
            weights[_ALIASES.get(match[1], match[1])] = float(match[2] or 1)
    others = weights.get("*", 0.0)
    best = max(_WINDOW_BITS, key=lambda name: weights.get(name, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


_remembered = lru_cache(maxsize=256)(_chosen)


def compress(content: bytes, encoding: str) -> bytes | None:
    """Return `content` in a coding that `choose` returned. None: it would hardly be smaller.

    zlib's fastest level is used, not its smallest output. A part in the middle of large content is tried first:
    random FP32 values keep 93 % of their size, and take a second for 20 MB.
    """
    if len(content) > _TRIED_ABOVE_BYTES:
        middle = len(content) // 2
        if len(zlib.compress(content[middle : middle + _SAMPLE_BYTES], _FAST)) > _WORTH * _SAMPLE_BYTES:
            return None
    compressor = zlib.compressobj(_FAST, wbits=_WINDOW_BITS[encoding])
    return compressor.compress(content) + compressor.flush()
