"""The frames of HTTP/2 (RFC 9113, sections 4 and 6): their numbers, and how a frame is written."""

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES = 9
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME_BYTES = 16_384
MAX_FRAME_BYTES = (1 << 24) - 1
MAX_WINDOW = MAX_STREAM = (1 << 31) - 1

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

PRIORITY_BYTES = 5
PING_BYTES = 8

head = struct.Struct(">HBBBI")
"""A frame's head: length (its upper 16 bits and its lower 8), type, flags, stream."""
word = struct.Struct(">I")
setting = struct.Struct(">HI")


class FrameType(IntEnum):
    """The frame types of RFC 9113, section 6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class SettingId(IntEnum):
    """The settings of RFC 9113, section 6.5.2."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """The reasons for which a stream or a connection ends (RFC 9113, section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(Exception):
    """The client broke the protocol in a way that ends the connection."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def frame(kind: FrameType, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    length = len(payload)
    return head.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def reset_frame(stream: int, code: ErrorCode) -> bytes:
    """Return the frame that ends a stream."""
    return frame(FrameType.RST_STREAM, 0, stream, word.pack(code))


def window_update_frame(stream: int, size: int) -> bytes:
    """Return the frame that allows `size` more bytes on a stream, or on the connection if `stream` is 0."""
    return frame(FrameType.WINDOW_UPDATE, 0, stream, word.pack(size))


def settings_frame(values: dict[SettingId, int]) -> bytes:
    """Return the frame that announces this side's settings."""
    return frame(FrameType.SETTINGS, 0, 0, b"".join(setting.pack(key, value) for key, value in values.items()))


def without_padding(payload: bytes) -> bytes:
    """Return a padded frame's payload without its padding.

    Raises:
        ConnectionFault: the padding is longer than the frame.
    """
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "The padding is longer than its frame.")
    return payload[1 : len(payload) - payload[0]]
