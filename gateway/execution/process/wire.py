"""Sends and receives frames through a socket.

`send` and `receive` block. `Wire` is for the event loop and never blocks. It is no asyncio transport, because a
transport for a socket that exists already can only be had from a coroutine, and `ProcessExecutor.start` is not one.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import structlog

from gateway.execution.process.frames import PREFIX_BYTES, ByteArray, FrameMessage, Part, measure, read
from runtimes.datatypes import Tensor

_log = structlog.get_logger()

_MOST_PARTS = 64  # for one call of sendmsg; the kernel takes 1024


def send(connection: socket.socket, parts: Sequence[Part]) -> None:
    """Send a frame. Block until the kernel has taken it.

    Raises:
        OSError: the other side has closed the connection, or the socket's time limit has passed.
    """
    connection.sendall(b"".join(parts))


def receive(connection: socket.socket) -> tuple[FrameMessage, list[Tensor]] | None:
    """Wait for the next frame and return it. Return None if the other side has closed the connection.

    Raises:
        OSError: the socket's time limit has passed.
    """
    prefix = _read_exactly(connection, PREFIX_BYTES)
    if prefix is None:
        return None
    head_bytes, total_bytes = measure(prefix)
    content = _read_exactly(connection, total_bytes)
    return None if content is None else read(content, head_bytes)


def _read_exactly(connection: socket.socket, size: int) -> ByteArray | None:
    """Read `size` bytes. Return None if the connection ends before."""
    content: ByteArray = np.empty(size, np.uint8)
    view = content.data
    while view:
        count = connection.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return content


class Wire:
    """One end of a connection, on the running event loop. It owns the connection and closes it.

    `received` is called with every message and its tensors. `ended` is called once if the other side closes the
    connection or sends something that is not a frame.
    """

    def __init__(
        self,
        connection: socket.socket,
        received: Callable[[FrameMessage, Sequence[Tensor]], None],
        ended: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._received = received
        self._ended = ended
        self._unsent: deque[memoryview] = deque()
        self._is_open = True
        self._expect(PREFIX_BYTES)
        self._head_bytes: int | None = None
        connection.setblocking(False)
        self._loop.add_reader(connection, self._read)

    def send(self, parts: Sequence[Part]) -> None:
        """Send a frame. What the kernel does not take now is sent when it has room."""
        is_sending = bool(self._unsent)
        self._unsent.extend(memoryview(part) for part in parts if len(part))
        if not is_sending and self._is_open:
            self._write()
            if self._unsent:
                self._loop.add_writer(self._connection, self._continue)

    def close(self) -> None:
        """Close the connection. Nothing is sent or received any more."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._connection)
            self._loop.remove_writer(self._connection)
            self._unsent.clear()
            self._connection.close()

    def _continue(self) -> None:
        self._write()
        if not self._unsent and self._is_open:
            self._loop.remove_writer(self._connection)

    def _write(self) -> None:
        """Send as much as the kernel takes now."""
        try:
            sent = self._connection.sendmsg(islice(self._unsent, _MOST_PARTS))
        except BlockingIOError:
            return
        except OSError:
            self._end()
            return
        while self._unsent and sent >= len(self._unsent[0]):
            sent -= len(self._unsent.popleft())
        if sent:
            self._unsent[0] = self._unsent[0][sent:]

    def _expect(self, size: int) -> None:
        self._content: ByteArray = np.empty(size, np.uint8)
        self._unfilled = self._content.data

    def _read(self) -> None:
        """Read one frame at most. While there is more, the loop calls this again, after other callbacks."""
        try:
            while self._is_open:
                count = self._connection.recv_into(self._unfilled)
                if not count:
                    self._end()
                    return
                self._unfilled = self._unfilled[count:]
                if not self._unfilled and self._take():
                    return
        except BlockingIOError:
            return
        except OSError:
            self._end()

    def _take(self) -> bool:
        """Use what was received. Return True after a whole frame, or after something that is not a frame."""
        content, head_bytes = self._content, self._head_bytes
        try:
            if head_bytes is None:
                self._head_bytes, total_bytes = measure(content)
                self._expect(total_bytes)
                return False
            message, tensors = read(content, head_bytes)
        except Exception as error:  # noqa: BLE001  # a model may have written over any memory of its process
            _log.warning("gateway.process.no_frame", error=repr(error))
            self._end()
            return True
        self._head_bytes = None
        self._expect(PREFIX_BYTES)
        self._received(message, tensors)
        return True

    def _end(self) -> None:
        if self._is_open:
            self.close()
            self._ended()
