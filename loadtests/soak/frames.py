"""HTTP/2 frames as a client writes them, and a reader of what comes back."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM: Final = 1
END_HEADERS: Final = 4
_HEAD_BYTES: Final = 9


class Frame(NamedTuple):
    """One frame that came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def frames_of(received: bytearray) -> Iterator[Frame]:
    """Yield the whole frames at the start of what came, and remove them."""
    at = 0
    while len(received) - at >= _HEAD_BYTES:
        end = at + _HEAD_BYTES + int.from_bytes(received[at : at + 3], "big")
        if len(received) < end:
            break
        stream = int.from_bytes(received[at + 5 : at + 9], "big")
        yield Frame(received[at + 3], received[at + 4], stream, bytes(received[at + _HEAD_BYTES : end]))
        at = end
    del received[:at]


def prediction_headers(*more: tuple[bytes, bytes]) -> bytes:
    """Return the header block of a prediction, without Huffman's code and without the table."""
    fields = (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
        (b":authority", b"localhost"), (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more,
    )  # fmt: skip
    return b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in fields)
