"""Splits the bytes of a connection into frames (RFC 9113, section 4.1)."""

from collections.abc import Iterator

from gateway.grpc.http2.frames import HEAD_BYTES, MAX_STREAM, PREFACE, ConnectionFault, ErrorCode, head

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


class FrameReader:
    """The frame reader of one connection. It holds at most one incomplete frame."""

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._preface = bytearray(PREFACE)  # the part of it that has not arrived yet
        self._unread = bytearray()

    @property
    def partial_bytes(self) -> int:
        """How much of an incomplete frame has arrived."""
        return len(self._unread)

    def read(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that `data` completes. A reader whose iterator was not exhausted cannot be used again.

        Raises:
            ConnectionFault: the bytes are not HTTP/2, or a frame is longer than allowed.
        """
        if self._preface:
            data = self._without_preface(data)
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
            if length > self._max_frame_bytes:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "The frame is longer than allowed.")
            end = position + HEAD_BYTES + length
            if end > size:
                break
            yield kind, flags, number & MAX_STREAM, data[position + HEAD_BYTES : end]
            position = end
        if position < size:
            unread += data[position:]

    def _without_preface(self, data: bytes) -> bytes:
        """Remove the preface, which may arrive in pieces."""
        size = min(len(self._preface), len(data))
        if data[:size] != self._preface[:size]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "This is not HTTP/2.")
        del self._preface[:size]
        return data[size:]

    def _has_frame(self) -> bool:
        """Return True if a frame is complete, or known to be too long."""
        unread = self._unread
        if len(unread) < HEAD_BYTES:
            return False
        length = int.from_bytes(unread[:3], "big")
        return len(unread) >= HEAD_BYTES + length or length > self._max_frame_bytes
