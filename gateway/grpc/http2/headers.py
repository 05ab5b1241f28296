"""Header blocks (HPACK, RFC 7541).

Reading: the `hpack` library decodes a block. A client that calls the same method again sends the same few bytes, which
name entries of a table that both sides keep. As long as no block changes that table, equal bytes mean equal headers, so
they are looked up and not decoded again.

Writing needs no table: each field is written out in full.
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum

import hpack

from gateway.grpc.http2.frames import ConnectionFault, ErrorCode
from gateway.grpc.http2.limits import MAX_DECODED_BYTES, MAX_HEADER_BYTES

HeaderMap = Mapping[bytes, bytes]

_MAX_CACHED_BLOCKS = 64
_MAX_CACHED_BYTES = 1024  # per block
_SIZE_UPDATE_MASK, _SIZE_UPDATE = 0xE0, 0x20  # the first byte of a table size update (RFC 7541, section 6.3)

_REQUIRED = (b":method", b":scheme", b":path")
_PSEUDO = frozenset((*_REQUIRED, b":authority"))
_CONNECTION_SPECIFIC = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_NAME = re.compile(rb"[!-9;-@\[-~]+")  # visible, no upper case, no colon (RFC 9113, section 8.2.1)
_FORBIDDEN_IN_VALUE = re.compile(rb"[\0\r\n]")
_BLANKS = b" \t"
_FIELD_OVERHEAD = 32  # counted for each field, beside its bytes (RFC 9113, section 6.5.2)
# Two updates have a use (RFC 7541, section 4.2). A block of nothing else would take longer than any other.
_TOO_MANY_UPDATES = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){8}")


class Refused(Enum):
    """Why the fields of a block are not handed on."""

    MALFORMED = "malformed"
    TOO_LONG = "too long"


class HeaderReader:
    """The decoder of one connection's header blocks. It must read every block, in the order of arrival."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._cache: dict[bytes, HeaderMap] = {}

    def read(self, block: bytes) -> HeaderMap | Refused:
        """Return the fields by name, or why they are refused. If a name is repeated, the last value counts.

        Raises:
            ConnectionFault: the block cannot be decoded, or its fields are far too long.
        """
        known = self._cache.get(block)
        if known is not None:
            return known
        before = self._newest_entry()
        fields = self._decoded(block)
        if sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in fields) > MAX_HEADER_BYTES:
            self._cache.clear()  # the block may have changed the table
            return Refused.TOO_LONG
        headers = _wellformed(fields)
        if self._newest_entry() is not before or (block and block[0] & _SIZE_UPDATE_MASK == _SIZE_UPDATE):
            self._cache.clear()
        elif headers is not None and len(block) <= _MAX_CACHED_BYTES:
            if len(self._cache) >= _MAX_CACHED_BLOCKS:
                self._cache.clear()
            self._cache[block] = headers
        return Refused.MALFORMED if headers is None else headers

    def _decoded(self, block: bytes) -> list[tuple[bytes, bytes]]:
        if _TOO_MANY_UPDATES.match(block):
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "The headers begin with too many updates of the table.")
        # A list that is much longer than its block consists of one entry of the table, named again and again.
        self._decoder.max_header_list_size = min(MAX_DECODED_BYTES, MAX_HEADER_BYTES + 2 * len(block))
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The headers are too long.") from error
        except Exception as error:  # hpack also lets a few of Python's own errors out
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"The headers cannot be read: {error}.") from error

    def _newest_entry(self) -> object:
        """Return the newest entry of the table that the client fills. It is another object if a block added one."""
        entries = self._decoder.header_table.dynamic_entries
        return entries[0] if entries else None


def _wellformed(fields: Iterable[tuple[bytes, bytes]]) -> HeaderMap | None:
    """Return the headers of a request, or trailers, which have no pseudo fields; None if malformed (RFC 9113, 8.2).

    Blanks around a value are malformed in HTTP/2. But gRPC's clients send them if their user did, and gRPC's rules
    allow to strip them, as HTTP/1.1 does. So a request with `te: trailers`, which gRPC requires, has them stripped.
    """
    headers: dict[bytes, bytes] = {}
    is_past_pseudo = has_blanks = False
    for name, value in fields:
        if _FORBIDDEN_IN_VALUE.search(value):
            return None
        if name in _PSEUDO:
            if is_past_pseudo or name in headers:
                return None
        else:
            is_past_pseudo = True
            if not _NAME.fullmatch(name) or name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
                return None
        headers[name] = stripped = value.strip(_BLANKS)
        has_blanks = has_blanks or len(stripped) != len(value)
    if has_blanks and b"te" not in headers:
        return None
    if _PSEUDO.isdisjoint(headers):
        return headers
    return headers if all(headers.get(name) for name in _REQUIRED) else None


def field(name: bytes, value: bytes) -> bytes:
    """Return one field, written out, which enters no table (RFC 7541, section 6.2.2)."""
    return b"\0" + _text(name) + _text(value)


NO_TABLE = b"\x20"
"""The table size update to 0 that precedes the first block. This side keeps no table, whatever the client allows."""
STATUS_200 = b"\x88"
"""The field `:status: 200`, an entry of the static table."""


def _text(value: bytes) -> bytes:
    """Return a string without Huffman's code: its length in seven bits, continued in further bytes, then its bytes."""
    length = len(value)
    if length < 0x7F:
        return bytes((length,)) + value
    out, rest = bytearray((0x7F,)), length - 0x7F
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out) + value
