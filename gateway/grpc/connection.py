"""gRPC over one HTTP/2 connection: methods by path, messages in and out, a status at the end. Acts.

A call costs what its messages cost: no task, no queue between threads. Calls are driven by hand
(`gateway.eventloop.driver`), so predictions that arrive together share a batch as they do over HTTP/1.1. Of a stream of
messages, one is taken when the answer to the one before is on its way: who does not take answers fills his window, and
no memory of ours.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from gateway.errors import BadRequest, GatewayError
from gateway.eventloop.driver import Driver
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.grpc.http2.connection import Http2Connection
from gateway.grpc.http2.headers import Headers, field
from gateway.grpc.http2.stream import Stream
from gateway.grpc.messages import (
    ANSWER,
    SUCCESS,
    Failed,
    GrpcFailure,
    announced,
    failure_of,
    framed,
    is_grpc,
    next_message,
)

UNIMPLEMENTED = 12
_MARGIN_BYTES = 64 * 1024
_MORE = "The call takes one message, and there is more."

Work = Coroutine[Any, None, bytes]
Answerer = Callable[[bytes, Headers], Work]
"""Takes a message and the call's metadata, gives the answer's message. Raises `Failed`, or what `failure_of` maps."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a path is answered. `is_stream`: each message gets an answer, in order, until the client has no more.

    `stays`: after the answer to its one message the call stays open, and is answered again when that may have changed.
    """

    answer: Answerer
    is_stream: bool = False
    stays: bool = False


class _Call:
    """What is under way on a stream. `asked` and `said` are those of a call that stays."""

    __slots__ = ("asked", "driven", "has_headers", "is_due", "method", "said")

    def __init__(self, method: Method) -> None:
        self.method = method
        self.driven: Driver[bytes] | None = None
        self.has_headers = False
        self.is_due = False
        self.asked = b""
        self.said: bytes | None = None


_log = structlog.get_logger()


class GrpcConnection(Http2Connection):
    """One per connection."""

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        turn: EndOfTurn,
        max_message_bytes: int,
        opened: Callable[["GrpcConnection"], None],
        closed: Callable[["GrpcConnection"], None],
    ) -> None:
        super().__init__(turn, max_message_bytes + _MARGIN_BYTES)
        self._methods = methods
        self._max_message_bytes = max_message_bytes
        self._most_bytes = announced(bytearray(b"\0" + max_message_bytes.to_bytes(4, "big")))
        self._opened = opened
        self._closed = closed

    def connection_made(self, transport: Any) -> None:
        """See `Http2Connection`."""
        super().connection_made(transport)
        self._opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `Http2Connection`."""
        super().connection_lost(exc)
        self._closed(self)

    def renew(self) -> None:
        """Answers every call that stays open again, where the answer has become another one."""
        for stream in self._staying():
            self._drive(stream, stream.owner, stream.owner.asked, partial(self._stay, stream))

    def end_when_idle(self) -> None:
        """See `Http2Connection`. Calls that stay open are ended; the others get their answers."""
        for stream in self._staying():
            self.finish_answer(stream, SUCCESS)
        super().end_when_idle()

    def request_began(self, stream: Stream) -> None:
        """See `Http2Connection`."""
        headers = stream.headers
        if not is_grpc(headers):
            self.finish_answer(stream, field(b":status", b"415"))  # told in HTTP's words
            return
        method = self._methods.get(headers[b":path"])
        if method is None:
            path = headers[b":path"].decode("utf-8", "replace")[:200]
            self._fail(stream, GrpcFailure(UNIMPLEMENTED, f"There is no method {path}; see reflection."))
            return
        stream.owner = _Call(method)

    def request_grew(self, stream: Stream) -> None:
        """See `Http2Connection`."""
        call: _Call = stream.owner
        if call.method.is_stream:
            self._go_on(stream)
        elif (expected := announced(stream.received)) > self._most_bytes:
            self._take(stream)  # says so now: the rest would not fit into the window
        elif expected and len(stream.received) > expected:
            self._fail(stream, failure_of(BadRequest(_MORE)))

    def request_ended(self, stream: Stream) -> None:
        """See `Http2Connection`."""
        call: _Call = stream.owner
        if call.method.is_stream:
            self._go_on(stream)
            return
        content = self._take(stream)
        if content is None:
            self._fail(stream, failure_of(BadRequest("The call has no message, or one that is cut off.")))
        elif stream.received:
            self._fail(stream, failure_of(BadRequest(_MORE)))
        elif call.method.stays:
            call.asked = content
            self._drive(stream, call, content, partial(self._stay, stream))
        else:
            self._drive(stream, call, content, partial(self._finish, stream))

    def request_left(self, stream: Stream) -> None:
        """See `Http2Connection`."""
        call: _Call | None = stream.owner
        if call is not None and call.driven is not None:
            driven, call.driven = call.driven, None
            try:
                driven.cancel()
            except Exception as error:  # noqa: BLE001  # there is nobody to tell, and others are still to be told
                _log.error("gateway.grpc.failed", exc_info=error)

    def answer_went(self, stream: Stream) -> None:
        """See `Http2Connection`."""
        call: _Call | None = stream.owner
        if call is not None and call.method.is_stream and call.driven is None and not call.is_due:
            # Not from here: a long queue of quick messages would become a deep stack, and keep all others waiting.
            call.is_due = True
            asyncio.get_running_loop().call_soon(self._go_on_now, stream)

    def _staying(self) -> list[Stream]:
        """The streams of calls that stay open, have an answer, and nothing that is on its way."""
        return [
            stream
            for stream in self.streams.values()
            if stream.owner.method.stays and stream.owner.has_headers and stream.owner.driven is None
            if self._is_open(stream)
        ]

    def _take(self, stream: Stream) -> bytes | None:
        """The next message of a stream. If it cannot be read, the call fails with the reason."""
        try:
            found = next_message(stream.received, stream.headers, self._max_message_bytes)
        except (GatewayError, Failed) as error:
            self._failed(stream, error)
            return None
        if found is None:
            return None
        content, size = found
        del stream.received[:size]
        if stream.owner.method.is_stream:
            self.consumed(stream, size)
        return content

    def _drive(self, stream: Stream, call: _Call, content: bytes, finished: Callable[[bytes], None]) -> None:
        work = call.method.answer(content, stream.headers)
        call.driven = Driver(work, finished, partial(self._failed, stream))
        call.driven.step()

    def _go_on_now(self, stream: Stream) -> None:
        stream.owner.is_due = False
        self._go_on(stream)

    def _go_on(self, stream: Stream) -> None:
        """Of a stream of messages: the next one, or the end, if the last answer is on its way."""
        call: _Call = stream.owner
        if call.driven is not None or call.is_due or self.is_paused or stream.has_more or not self._is_open(stream):
            return
        content = self._take(stream)
        if content is not None:
            self._drive(stream, call, content, partial(self._sent_one, stream))
        elif stream.is_complete and self._is_open(stream):
            if stream.received:
                self._fail(stream, failure_of(BadRequest("The last message is cut off.")))
            else:
                self._with_headers(stream)
                self.finish_answer(stream, SUCCESS)

    def _sent_one(self, stream: Stream, content: bytes) -> None:
        stream.owner.driven = None
        self._with_headers(stream)
        self.send(stream, framed(content))

    def _finish(self, stream: Stream, content: bytes) -> None:
        stream.owner.driven = None
        self.answer(stream, ANSWER, framed(content), SUCCESS)

    def _stay(self, stream: Stream, content: bytes) -> None:
        call: _Call = stream.owner
        call.driven = None
        if content != call.said:
            call.said = content
            self._with_headers(stream)
            self.send(stream, framed(content))

    def _with_headers(self, stream: Stream) -> None:
        if not stream.owner.has_headers:
            stream.owner.has_headers = True
            self.start_answer(stream, ANSWER)

    def _failed(self, stream: Stream, error: BaseException) -> None:
        self._fail(stream, error.failure if isinstance(error, Failed) else failure_of(error))

    def _fail(self, stream: Stream, failure: GrpcFailure) -> None:
        """Ends a call with a status, unless it has one."""
        if self._is_open(stream):
            started = stream.owner is not None and stream.owner.has_headers
            self.finish_answer(stream, failure.trailers() if started else ANSWER + failure.trailers())

    def _is_open(self, stream: Stream) -> bool:
        return stream.number in self.streams and not stream.is_answered
