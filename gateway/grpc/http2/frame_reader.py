"""Cuts what comes on a connection into frames (RFC 9113, section 4.1). Decides."""

from collections.abc import Iterator

from gateway.grpc.http2.frames import HEAD_BYTES, MOST_WINDOW, PREFACE, ConnectionFault, ErrorCode, head

Frame = tuple[int, int, int, bytes]
"""Kind, flags, stream, payload."""


class FrameReader:
    """One per connection. Holds at most one frame that is not whole."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._preface = bytearray(PREFACE)  # what is still to come of it
        self._unread = bytearray()

    def cut(self, data: bytes) -> Iterator[Frame]:
        """Every frame that is whole with this. To be exhausted, or not to be used again.

        Raises:
            ConnectionFault: it is not HTTP/2, or a frame is longer than allowed.
        """
        if self._preface:
            data = self._greet(data)
        unread = self._unread
        if unread:
            unread += data
            data = bytes(unread) if self._has_frame() else b""
            if not data:
                return
            unread.clear()
        position, size = 0, len(data)
        while size - position >= HEAD_BYTES:
            high, low, kind, flags, number = head.unpack_from(data, position)
            length = high << 8 | low
            if length > self._most_bytes:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "The frame is longer than allowed.")
            end = position + HEAD_BYTES + length
            if end > size:
                break
            yield kind, flags, number & MOST_WINDOW, data[position + HEAD_BYTES : end]
            position = end
        if position < size:
            unread += data[position:]

    def _greet(self, data: bytes) -> bytes:
        """Takes the preface off, which may come in pieces."""
        size = min(len(self._preface), len(data))
        if data[:size] != self._preface[:size]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "This is not HTTP/2.")
        del self._preface[:size]
        return data[size:]

    def _has_frame(self) -> bool:
        unread = self._unread
        if len(unread) < HEAD_BYTES:
            return False
        length = int.from_bytes(unread[:3], "big")
        return len(unread) >= HEAD_BYTES + length or length > self._most_bytes
