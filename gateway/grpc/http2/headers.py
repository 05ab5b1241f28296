"""Header blocks (HPACK, RFC 7541). Decides.

Reading is hpack's work. But a client that calls the same method again sends the same few bytes, which name entries of
a table that both sides keep: as long as no block changes the table, equal bytes mean equal headers, and are looked up.
Writing needs no table: a field is written as itself.
"""

import re
from collections.abc import Iterable, Mapping

import hpack

from gateway.grpc.http2.frames import ConnectionFault, ErrorCode

Headers = Mapping[bytes, bytes]

MOST_BYTES = 16 * 1024
_MOST_KNOWN = 64
_KNOWN_BYTES = 1024  # of a block that is worth remembering
_RESIZES, _IS_RESIZE = 0xE0, 0x20  # a block that begins so changes the table's size (RFC 7541, section 6.3)

_REQUIRED = (b":method", b":scheme", b":path")
_PSEUDO = frozenset((*_REQUIRED, b":authority"))
_OF_CONNECTIONS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_NAME = re.compile(rb"[!-9;-@\[-~]+")  # visible, no upper case, no colon (RFC 9113, section 8.2.1)
_NO_VALUE = re.compile(rb"[\0\r\n]")


class HeaderReader:
    """One per connection: blocks must be read in the order in which they came."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=MOST_BYTES)
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers | None:
        """The fields by name; of a name that comes twice, the values with commas between them. None: malformed.

        Raises:
            ConnectionFault: the block cannot be read, or what it holds is too long.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        before = self._newest_entry()
        try:
            fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The headers are too long.") from error
        except Exception as error:  # hpack lets a few of Python's own errors out, too
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"The headers cannot be read: {error}.") from error
        headers: dict[bytes, bytes] = {}
        for name, value in fields:
            headers[name] = headers[name] + b"," + value if name in headers else value
        is_wellformed = _is_wellformed(fields, headers)
        if self._newest_entry() is not before or (block and block[0] & _RESIZES == _IS_RESIZE):
            self._known.clear()
        elif is_wellformed and len(block) <= _KNOWN_BYTES:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[block] = headers
        return headers if is_wellformed else None

    def _newest_entry(self) -> object:
        """Of the table that the client fills: another one, if a block has added to it."""
        entries = self._decoder.header_table.dynamic_entries
        return entries[0] if entries else None


def _is_wellformed(fields: Iterable[tuple[bytes, bytes]], headers: Headers) -> bool:
    """Whether these may be a request's headers, or its trailers, which have no pseudo fields (RFC 9113, section 8)."""
    seen: set[bytes] = set()
    is_past_pseudo = False
    for name, value in fields:
        if _NO_VALUE.search(value):
            return False
        if name in _PSEUDO:
            if is_past_pseudo or name in seen:
                return False
            seen.add(name)
        else:
            is_past_pseudo = True
            if not _NAME.fullmatch(name) or name in _OF_CONNECTIONS or (name == b"te" and value != b"trailers"):
                return False
    return not seen or all(name in headers for name in _REQUIRED)


def field(name: bytes, value: bytes) -> bytes:
    """One field, as itself and not to be remembered (RFC 7541, section 6.2.2)."""
    return b"\0" + _text(name) + _text(value)


NO_TABLE = b"\x20"
"""Before the very first block: this side keeps no table, however long a one the client would keep for it."""
OK = b"\x88"
""":status 200, which both tables have from the beginning."""


def _text(value: bytes) -> bytes:
    """A string without Huffman's code: its length in seven bits, continued in further bytes, and itself."""
    length = len(value)
    if length < 0x7F:
        return bytes((length,)) + value
    out, rest = bytearray((0x7F,)), length - 0x7F
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out) + value
