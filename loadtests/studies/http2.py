"""What HTTP/2 costs a gRPC server per call: `gateway.grpc.http2` beside the h2 library.

In one process, without a socket: unary calls of 160 bytes, whose frames arrive in groups of 32. Each server reads them
and responds with headers, 160 bytes and trailers. Time is the processor's. `python -m loadtests.studies.http2`.
"""

import asyncio
import statistics
import time
from collections.abc import Callable

import hpack
import typer
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from gateway.eventloop.body_budget import BodyBudget
from gateway.grpc.http2.connection import Http2Connection
from gateway.grpc.http2.frames import PREFACE, FrameType, frame, settings_frame, window_update_frame
from gateway.grpc.http2.handler import Handler
from gateway.grpc.http2.stream import Stream
from gateway.grpc.limits import grpc_limits
from gateway.grpc.messages import RESPONSE_HEADERS, framed
from gateway.grpc.status import OK_TRAILERS
from gateway.settings import Settings

_ROUNDS, _GROUPS, _CALLS, _MESSAGE = 9, 100, 32, framed(bytes(160))
_PATH, _TYPE = (b":path", b"/inference.GRPCInferenceService/ModelInfer"), (b"content-type", b"application/grpc")
_REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), _PATH, (b":authority", b"a"), (b"te", b"trailers"), _TYPE]
_RESPONSE = [(b":status", b"200"), _TYPE, (b"grpc-accept-encoding", b"identity,deflate,gzip")]


def main() -> None:
    """Time the server's side of HTTP/2."""
    servers: dict[str, Callable[[], Ours | H2]] = {
        "gateway.grpc.http2": Ours,
        "h2, headers checked and normalised": lambda: H2(checks=True),
        "h2, headers not checked": lambda: H2(checks=False),
    }
    groups = _groups()
    taken = [[asyncio.run(_microseconds(server(), groups)) for server in servers.values()] for _ in range(_ROUNDS)]
    for name, values in zip(servers, zip(*taken, strict=True), strict=True):
        typer.echo(f"{name}: {statistics.median(values):.1f} µs per call ({min(values):.1f} to {max(values):.1f})")


class _Open(asyncio.Transport):
    """A transport that may be paused."""

    def is_closing(self) -> bool:
        """Return False."""
        return False

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


class Ours(Handler):
    """The gateway's connection, whose output is dropped."""

    def __init__(self) -> None:
        self._connection = Http2Connection(
            self,
            lambda _, __: None,
            lambda: None,
            max_body_bytes=1 << 20,
            budget=BodyBudget(1 << 30),
            time_limits=grpc_limits(Settings()).time,
        )
        self._connection.connection_made(_Open())
        self.receive = self._connection.data_received

    def request_ended(self, stream: Stream) -> None:
        """Respond."""
        self._connection.sending.respond(stream, RESPONSE_HEADERS, _MESSAGE, OK_TRAILERS)


class H2:
    """A server on h2, whose output is dropped."""

    def __init__(self, *, checks: bool) -> None:
        config = H2Configuration(client_side=False, header_encoding=None)
        config.validate_inbound_headers = config.validate_outbound_headers = checks
        config.normalize_inbound_headers = config.normalize_outbound_headers = checks
        self._connection = H2Connection(config)
        self._connection.initiate_connection()

    def receive(self, data: bytes) -> None:
        """Respond to every request that `data` completes."""
        for event in self._connection.receive_data(data):
            if isinstance(event, DataReceived):
                self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._connection.send_headers(event.stream_id, _RESPONSE)
                self._connection.send_data(event.stream_id, _MESSAGE)
                self._connection.send_headers(event.stream_id, [(b"grpc-status", b"0")], end_stream=True)
        self._connection.data_to_send()


def _groups() -> list[bytes]:
    """Return what a client sends: its preface, then groups of calls with a window for their responses."""
    encoder, groups = hpack.Encoder(), [PREFACE + settings_frame({})]
    for first in range(1, 2 * _GROUPS * _CALLS, 2 * _CALLS):
        group = window_update_frame(0, _CALLS * len(_MESSAGE))
        for stream in range(first, first + 2 * _CALLS, 2):
            group += frame(FrameType.HEADERS, 4, stream, encoder.encode(_REQUEST))
            group += frame(FrameType.DATA, 1, stream, _MESSAGE)
        groups.append(group)
    return groups


async def _microseconds(server: Ours | H2, groups: list[bytes]) -> float:
    began_s = time.process_time()
    for group in groups:
        server.receive(group)
        await asyncio.sleep(0)  # the gateway's connection works in slices of a turn of the loop
    return (time.process_time() - began_s) / (_GROUPS * _CALLS) * 1e6


if __name__ == "__main__":
    typer.run(main)
