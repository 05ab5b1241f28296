"""gRPC calls on one HTTP/2 connection: a method by path, messages in and out, a status at the end.

A call costs what its messages cost: there is no task, and no queue between threads. `gateway.eventloop.driver` steps
the calls' coroutines, so predictions that arrive together share a batch, as they do over HTTP/1.1. Of a stream of
messages, the next one is handled when the response to the one before is on its way. A client that does not read its
responses is stopped by flow control and costs us no memory. The same holds for a client that sends more than is
handled: a message longer than a stream's first window is let in when the connection has room for it.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from gateway.errors import BadRequest, GatewayError, Overloaded, TooLarge, TooLate
from gateway.eventloop.body_budget import BodyBudget, Holding
from gateway.eventloop.driver import Driver
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.grpc.call import Call, is_open
from gateway.grpc.http2.connection import Http2Connection
from gateway.grpc.http2.frames import ErrorCode
from gateway.grpc.http2.headers import field
from gateway.grpc.http2.limits import MAX_HEADER_BYTES
from gateway.grpc.http2.stream import Stream
from gateway.grpc.http2.time_limits import TimeLimits
from gateway.grpc.large_messages import is_large, respond_to_large
from gateway.grpc.messages import PREFIX_BYTES, RESPONSE_HEADERS, Message, framed_size, is_grpc, next_message
from gateway.grpc.method import Method
from gateway.grpc.responses import Responses
from gateway.grpc.status import OK_TRAILERS, UNIMPLEMENTED, Failed, GrpcFailure, failure_of

_MORE = "The call takes one message, and there is more."

_log = structlog.get_logger()


class GrpcConnection:
    """The handler of one HTTP/2 connection, which is `http2`. A stream's `context` is its `Call`.

    `opened` is called with this object once the connection is made, and `closed` once it is lost.
    """

    def __init__(
        self,
        methods: Mapping[bytes, Method],
        turn: EndOfTurn,
        *,
        max_message_bytes: int,
        budget: BodyBudget,
        offload: Offload,
        time_limits: TimeLimits,
        opened: Callable[["GrpcConnection"], None],
        closed: Callable[["GrpcConnection"], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        size, write, flush = PREFIX_BYTES + max_message_bytes, turn.write, turn.flush
        self.http2 = Http2Connection(
            self, write, flush, max_body_bytes=size, budget=budget, time_limits=time_limits, clock=clock
        )
        self._responses = Responses(self.http2.sending)
        self._methods = methods
        self._max_message_bytes = max_message_bytes
        self._budget = budget
        self._offload = offload
        self._opened = opened
        self._closed = closed

    def renew(self) -> None:
        """Respond again to every call of an `is_watch` method whose response has changed."""
        for stream in self._watches():
            call: Call = stream.context
            self._drive(stream, call, call.request, partial(self._responses.send_if_changed, stream))

    def only_watches(self) -> bool:
        """Return True if all calls of the connection are of `is_watch` methods, and wait for a change."""
        return len(self._watches()) == len(self.http2.streams)

    def drain(self) -> None:
        """Tell the client to open its next calls elsewhere."""
        self.http2.closing.drain()

    def end_when_idle(self) -> None:
        """Refuse new calls and end those of `is_watch` methods. End the connection when the others are complete."""
        for stream in self._watches():
            self.http2.sending.finish(stream, OK_TRAILERS)
        self.http2.closing.end_when_idle()

    def end(self) -> None:
        """End the connection now."""
        self.http2.closing.end(ErrorCode.NO_ERROR)

    def connection_made(self) -> None:
        """See `Handler`."""
        self._opened(self)

    def connection_lost(self) -> None:
        """See `Handler`."""
        self._closed(self)
        del self.http2, self._responses  # they refer to their handler: without the cycle all are freed at once

    def request_started(self, stream: Stream) -> None:
        """Find the method and check the caller, or end the call."""
        headers = stream.headers
        if not is_grpc(headers):
            self.http2.sending.finish(stream, field(b":status", b"415"))  # the client may not know gRPC's statuses
            return
        method = self._methods.get(headers[b":path"])
        if method is None:
            path = headers[b":path"].decode("utf-8", "replace")[:200]
            self._end_with(stream, GrpcFailure(UNIMPLEMENTED, f"There is no method {path}; see reflection."))
            return
        stream.context = Call(method, self._max_message_bytes)
        if method.check_caller is not None:
            try:
                method.check_caller(headers)
            except Exception as error:  # noqa: BLE001  # the caller gets the error; a fault of ours is logged
                self._fail(stream, error)

    def request_too_long(self, stream: Stream) -> None:
        """See `Handler`."""
        self._fail(stream, TooLarge(f"The call's metadata are too large: at most {MAX_HEADER_BYTES} bytes are taken."))

    def body_unaffordable(self, stream: Stream) -> None:
        """See `Handler`."""
        self._abandon(stream, Overloaded("The gateway holds too many bytes of unfinished requests; try again later."))

    def request_stalled(self, stream: Stream) -> None:
        """See `Handler`."""
        if stream.context is None or stream.context.driven is None:
            self._abandon(stream, TooLate("The call ended, because no byte of its request came for too long."))

    def body_received(self, stream: Stream) -> None:
        """Handle the next message of a stream. Reject a single message early if it cannot become valid."""
        if stream.context.method.is_stream:
            self._go_on(stream)
        elif (size := framed_size(stream.received)) > PREFIX_BYTES + stream.context.max_message_bytes:
            self._take(stream)  # fails the call now: the rest would not fit into the window
        elif size and len(stream.received) > size:
            self._end_with(stream, failure_of(BadRequest(_MORE)))
        else:
            self.http2.expect(stream, size)

    def request_ended(self, stream: Stream) -> None:
        """Handle the message of a call, or the last messages of a stream."""
        call: Call = stream.context
        if call.method.is_stream:
            self._go_on(stream)
            return
        message = self._take(stream)
        if message is None:
            self._end_with(stream, failure_of(BadRequest("The call has no message, or one that is cut off.")))
        elif stream.received:
            self._end_with(stream, failure_of(BadRequest(_MORE)))
        elif call.method.is_watch:
            call.request = message
            self._drive(stream, call, message, partial(self._responses.send_if_changed, stream))
        else:
            self._drive(stream, call, message, partial(self._responses.respond, stream))

    def request_cancelled(self, stream: Stream) -> None:
        """Cancel the call's coroutine."""
        call: Call | None = stream.context
        if call is not None and call.driven is not None:
            driven = call.driven
            call.end_work()
            try:
                driven.cancel()
            except Exception as error:  # noqa: BLE001  # no client waits, and other calls are still to be cancelled
                _log.error("gateway.grpc.failed", exc_info=error)

    def response_drained(self, stream: Stream) -> None:
        """Schedule the next message of a stream."""
        call: Call | None = stream.context
        if call is not None and call.method.is_stream and call.driven is None and not call.resume_scheduled:
            # Not from here: a long queue of quick messages would become a deep stack and delay all other connections.
            call.resume_scheduled = True
            self.http2.later(partial(self._resume, stream))

    def _watches(self) -> list[Stream]:
        """Return the open streams of `is_watch` methods that have had a response and are not being renewed."""
        streams = self.http2.streams.values()
        return [each for each in streams if each.context.is_watched() and is_open(each)]

    def _take(self, stream: Stream) -> Message | None:
        """Return the next message, or None if it has not arrived. End the call if the message cannot be read."""
        received = stream.received
        try:
            found = next_message(received, stream.headers, stream.context.max_message_bytes)
        except (GatewayError, Failed) as error:
            self._fail(stream, error)
            return None
        if found is None:
            self.http2.expect(stream, framed_size(received))
            return None
        if type(found.content) is bytes:
            del received[: found.size]
        else:  # the message refers to what was received
            stream.received = received[found.size :]
        self.http2.consumed(stream, found.size)
        return found

    def _drive(self, stream: Stream, call: Call, message: Message, finished: Callable[[bytes], None]) -> None:
        headers = stream.headers
        if is_large(message):
            call.holding = Holding(self._budget, id(self))
            most = call.max_message_bytes
            work = respond_to_large(call.method, [message], headers, self._offload, most, call.holding)
        else:
            work = call.method.respond(message.content, headers)  # type: ignore[arg-type]  # a small one is of bytes
        call.driven = Driver(work, finished, partial(self._fail, stream))
        call.driven.step()

    def _resume(self, stream: Stream) -> None:
        stream.context.resume_scheduled = False
        self._go_on(stream)

    def _go_on(self, stream: Stream) -> None:
        """Handle the next message of a stream, or its end, if the last response is on its way."""
        call: Call = stream.context
        is_busy = call.driven is not None or call.resume_scheduled or stream.has_unsent
        if is_busy or not is_open(stream) or self.http2.is_paused:
            return
        self.http2.settle(stream)
        message = self._take(stream)
        if message is not None:
            self._drive(stream, call, message, partial(self._responses.send, stream))
        elif stream.is_request_complete and is_open(stream):
            if stream.received:
                self._end_with(stream, failure_of(BadRequest("The last message is cut off.")))
            else:
                self._responses.start(stream)
                self.http2.sending.finish(stream, OK_TRAILERS)

    def _abandon(self, stream: Stream, error: GatewayError) -> None:
        """End a call whose request will not be read any further."""
        self.request_cancelled(stream)
        self._fail(stream, error)

    def _fail(self, stream: Stream, error: BaseException) -> None:
        self._end_with(stream, error.failure if isinstance(error, Failed) else failure_of(error))

    def _end_with(self, stream: Stream, failure: GrpcFailure) -> None:
        """End a call with a status, unless it has one."""
        if stream.context is not None:
            stream.context.end_work()
        if is_open(stream):
            has_headers = stream.context is not None and stream.context.has_headers
            self.http2.sending.finish(stream, (b"" if has_headers else RESPONSE_HEADERS) + failure.trailers())
