"""Header blocks (HPACK, RFC 7541).

Reading: the `hpack` library decodes a block. A client that calls the same method again sends the same few bytes, which
name entries of a table that both sides keep. As long as no block changes that table, equal bytes mean equal headers, so
they are looked up and not decoded again.

Writing needs no table: each field is written out in full.
"""

import re
from collections.abc import Iterable, Mapping

import hpack

from gateway.grpc.http2.frames import ConnectionFault, ErrorCode

HeaderMap = Mapping[bytes, bytes]

MAX_HEADER_BYTES = 16 * 1024
_MAX_CACHED_BLOCKS = 64
_MAX_CACHED_BYTES = 1024  # per block
_SIZE_UPDATE_MASK, _SIZE_UPDATE = 0xE0, 0x20  # the first byte of a table size update (RFC 7541, section 6.3)

_REQUIRED = (b":method", b":scheme", b":path")
_PSEUDO = frozenset((*_REQUIRED, b":authority"))
_CONNECTION_SPECIFIC = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_NAME = re.compile(rb"[!-9;-@\[-~]+")  # visible, no upper case, no colon (RFC 9113, section 8.2.1)
_FORBIDDEN_IN_VALUE = re.compile(rb"[\0\r\n]")


class HeaderReader:
    """The decoder of one connection's header blocks. It must read every block, in the order of arrival."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=MAX_HEADER_BYTES)
        self._cache: dict[bytes, HeaderMap] = {}

    def read(self, block: bytes) -> HeaderMap | None:
        """Return the fields by name, or None if they are malformed. The values of a repeated name are joined by commas.

        Raises:
            ConnectionFault: the block cannot be decoded, or its fields are too long.
        """
        known = self._cache.get(block)
        if known is not None:
            return known
        before = self._newest_entry()
        try:
            fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The headers are too long.") from error
        except Exception as error:  # hpack also lets a few of Python's own errors out
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"The headers cannot be read: {error}.") from error
        headers: dict[bytes, bytes] = {}
        for name, value in fields:
            headers[name] = headers[name] + b"," + value if name in headers else value
        is_wellformed = _is_wellformed(fields, headers)
        if self._newest_entry() is not before or (block and block[0] & _SIZE_UPDATE_MASK == _SIZE_UPDATE):
            self._cache.clear()
        elif is_wellformed and len(block) <= _MAX_CACHED_BYTES:
            if len(self._cache) >= _MAX_CACHED_BLOCKS:
                self._cache.clear()
            self._cache[block] = headers
        return headers if is_wellformed else None

    def _newest_entry(self) -> object:
        """Return the newest entry of the table that the client fills. It is another object if a block added one."""
        entries = self._decoder.header_table.dynamic_entries
        return entries[0] if entries else None


def _is_wellformed(fields: Iterable[tuple[bytes, bytes]], headers: HeaderMap) -> bool:
    """Return True for the headers of a request, or trailers, which have no pseudo fields (RFC 9113, section 8)."""
    seen: set[bytes] = set()
    is_past_pseudo = False
    for name, value in fields:
        if _FORBIDDEN_IN_VALUE.search(value):
            return False
        if name in _PSEUDO:
            if is_past_pseudo or name in seen:
                return False
            seen.add(name)
        else:
            is_past_pseudo = True
            if not _NAME.fullmatch(name) or name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
                return False
    return not seen or all(name in headers for name in _REQUIRED)


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
