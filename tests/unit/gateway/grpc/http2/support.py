"""A connection on a transport in memory, and its client: the h2 library, or frames made by hand."""

import asyncio
import math
import struct
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import StreamClosedError

from gateway.errors import BadRequest, Unauthenticated
from gateway.eventloop.body_budget import BodyBudget
from gateway.eventloop.driver import Pending
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.grpc.connection import GrpcConnection
from gateway.grpc.http2.frames import PREFACE, FrameType, frame
from gateway.grpc.http2.headers import field
from gateway.grpc.limits import grpc_limits
from gateway.grpc.method import Method
from gateway.settings import Settings

MAX_MESSAGE_BYTES = 100_000
SETTINGS = frame(FrameType.SETTINGS, 0, 0)
HELLO = PREFACE + SETTINGS

REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/echo"),
    (":authority", "gateway"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]


BLOCK = b"".join(field(name.encode(), value.encode()) for name, value in REQUEST)
"""`REQUEST` as a header block."""


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_read = True
        self.unsent_bytes = 0
        self.is_closed = self.is_aborted = False

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.written += data

    def take(self) -> bytes:
        taken = bytes(self.written)
        self.written.clear()
        return taken

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


class Sent(NamedTuple):
    """A frame that the server sent."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frames_of(content: bytes) -> list[Sent]:
    found = []
    while content:
        size = int.from_bytes(content[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", content[3:9])
        found.append(Sent(kind, flags, stream, content[9 : 9 + size]))
        content = content[9 + size :]
    return found


class Peer:
    """A client on h2, and the server under test with a few methods.

    `requests` are the messages that these methods were called with. `cancelled` are those whose call was cancelled. The
    server's clock shows `now_s`, and `time_per_look_s` more each time.
    """

    def __init__(
        self,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        max_unfinished_bytes: int = 1 << 30,
        life_s: float = math.inf,
    ) -> None:
        self.requests: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.pending: dict[bytes, Pending[bytes]] = {}
        self.health = b"well"
        methods = {
            b"/echo": Method(self._echo),
            b"/echoes": Method(self._echo, is_stream=True),
            b"/size": Method(self._size),
            b"/small": Method(self._size, max_message_bytes=1000),
            b"/guarded": Method(self._size, check_caller=_require_key),
            b"/guardeds": Method(self._size, is_stream=True, check_caller=_require_key),
            b"/wait": Method(self._wait),
            b"/waits": Method(self._wait, is_stream=True),
            b"/watch": Method(self._watch, is_watch=True),
        }
        self.wire = Wire()
        self.now_s = 0.0
        self.time_per_look_s = 0.0
        self.budget = BodyBudget(max_unfinished_bytes)
        self.connection = GrpcConnection(
            methods,
            EndOfTurn(),
            max_message_bytes=max_message_bytes,
            budget=self.budget,
            offload=Offload(),
            time_limits=grpc_limits(Settings()).time._replace(life_s=life_s),
            opened=lambda _: None,
            closed=lambda _: None,
            clock=self._clock,
        )
        self.http2 = self.connection.http2
        self.http2.connection_made(self.wire)
        self._unsent: dict[int, tuple[bytes, bool]] = {}
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))

    def _clock(self) -> float:
        self.now_s += self.time_per_look_s
        return self.now_s

    async def _echo(self, content: bytes, _: Any) -> bytes:
        self.requests.append(content)
        if content.startswith(b"fail"):
            raise BadRequest("Failed as asked.")
        return content

    async def _size(self, content: bytes, _: Any) -> bytes:
        return b"%d" % len(content)

    async def _wait(self, content: bytes, _: Any) -> bytes:
        self.requests.append(content)
        self.pending[content] = Pending()
        try:
            return await self.pending[content]
        except BaseException:
            self.cancelled.append(content)
            raise

    async def _watch(self, content: bytes, _: Any) -> bytes:
        return self.health + content

    async def send(self, content: bytes = b"") -> bytes:
        """Send bytes to the server. Return what comes back."""
        self.http2.data_received(content)
        return await self.read()

    async def read(self) -> bytes:
        """Return what the server sends within a few iterations of the loop."""
        for _ in range(4):
            await asyncio.sleep(0)
        return self.wire.take()

    async def exchange(self) -> list[Any]:
        """Send what the client has queued, until both sides are silent. Return the client's events."""
        events: list[Any] = []
        while queued := self.client.data_to_send():
            events += self.client.receive_data(await self.send(queued))
            self._send_unsent()
        return events

    async def receive(self) -> list[Any]:
        """Return the client's events from what the server sends by itself."""
        events = self.client.receive_data(await self.read())
        return events + await self.exchange()

    async def open(self, settings: Mapping[int, int] | None = None) -> None:
        """Start the conversation."""
        self.client.initiate_connection()
        if settings:
            self.client.update_settings(dict(settings))
        await self.exchange()

    def call(self, content: bytes, path: str = "/echo", *more: tuple[str, str], ends: bool = True) -> int:
        """Queue a call of one message. Return its stream."""
        stream = self.start_call(path, *more)
        self._unsent[stream] = (content, ends)
        self._send_unsent()
        return stream

    def _send_unsent(self) -> None:
        """Queue what the server's windows allow of the messages that are not sent yet."""
        for stream, (content, ends) in list(self._unsent.items()):
            try:
                window = self.client.local_flow_control_window(stream)
                for at in range(0, min(window, len(content)), size := self.client.max_outbound_frame_size):
                    self.client.send_data(stream, content[at : at + min(size, window - at)])
                self._unsent[stream] = (content[window:] if window > 0 else content, ends)
                if window >= len(content):
                    del self._unsent[stream]
                    if ends:
                        self.client.end_stream(stream)
            except StreamClosedError:
                del self._unsent[stream]

    def start_call(self, path: str, *more: tuple[str, str]) -> int:
        """Queue the headers of a call. Return its stream."""
        stream: int = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, [*headers(path), *more])
        return stream


def _require_key(headers: Any) -> None:
    if headers.get(b"x-api-key") != b"good":
        raise Unauthenticated("This needs a key.")


def headers(path: str = "/echo") -> list[tuple[str, str]]:
    return [(name, path if name == ":path" else value) for name, value in REQUEST]


def message(content: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(content).to_bytes(4, "big") + content


class Response(NamedTuple):
    """The outcome of a stream."""

    content: bytes
    status: str | None
    sentence: str
    is_ended: bool
    reset: int | None


def response_in(events: list[Any], stream: int) -> Response:
    of_stream = [event for event in events if getattr(event, "stream_id", None) == stream]
    fields: dict[str, str] = {}
    for event in of_stream:
        if isinstance(event, ResponseReceived | TrailersReceived):
            fields |= dict(event.headers)
    resets = [int(event.error_code) for event in of_stream if isinstance(event, StreamReset)]
    return Response(
        b"".join(event.data for event in of_stream if isinstance(event, DataReceived)),
        fields.get("grpc-status"),
        fields.get("grpc-message", ""),
        any(isinstance(event, StreamEnded) for event in of_stream),
        resets[0] if resets else None,
    )


def success(content: bytes) -> Response:
    """Return the outcome of a stream that succeeded."""
    return Response(content, "0", "", is_ended=True, reset=None)


def conversation(
    talk: Callable[[Peer], Coroutine[Any, Any, None]],
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    max_unfinished_bytes: int = 1 << 30,
    life_s: float = math.inf,
) -> Peer:
    """Run a test's conversation. Then lose the connection, after which no stream and no byte may be left."""

    async def run() -> Peer:
        peer = Peer(max_message_bytes, max_unfinished_bytes, life_s)
        await talk(peer)
        peer.http2.connection_lost(None)
        assert not peer.http2.streams
        assert peer.budget.take(max_unfinished_bytes)
        return peer

    return asyncio.run(run())


def call_headers(number: int, path: bytes = b"/wait") -> bytes:
    """Return the headers of a call."""
    return frame(FrameType.HEADERS, 4, number, BLOCK.replace(b"\x05/echo", bytes((len(path),)) + path))


def whole_call(number: int, path: bytes = b"/wait") -> bytes:
    """Return a call whose message is its number."""
    return call_headers(number, path) + frame(FrameType.DATA, 1, number, message(b"%d" % number))
