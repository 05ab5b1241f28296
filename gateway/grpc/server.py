"""The gRPC port, which several replicas share, and its orderly end. Acts.

Draining goes: health says no; no connection is accepted any more; every client is told to open its next calls
elsewhere, while those that are on their way are answered; a moment later what still comes is refused, which gRPC's
clients take as leave to try elsewhere; connections end when they are idle.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping

from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.grpc.connection import GrpcConnection, Method
from gateway.grpc.health import SERVICE as HEALTH
from gateway.grpc.health import Health
from gateway.grpc.http2.frames import ErrorCode
from gateway.grpc.reflection import V1, V1ALPHA, Reflection

SERVICE = "inference.GRPCInferenceService"
_BACKLOG = 2048
_POLL_S = 0.02
_HEARD_S = 0.25  # in which a client has heard that it should go elsewhere
_WATCH_S = 0.2
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds without a word, seconds between questions, and how many are asked."""


class GrpcServer:
    """One per replica."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        is_ready: Callable[[], bool],
        turn: EndOfTurn,
        *,
        max_message_bytes: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._health = Health((SERVICE,), is_ready)
        by_service = {
            SERVICE: methods,
            HEALTH: self._health.methods(),
            V1ALPHA: (reflected := Reflection((SERVICE, HEALTH)).methods()),
            V1: reflected,
        }
        self._methods = {
            f"/{service}/{name}".encode(): method
            for service, named in by_service.items()
            for name, method in named.items()
        }
        self._turn = turn
        self._max_message_bytes = max_message_bytes
        self._tls = tls
        self._connections: set[GrpcConnection] = set()
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, shared: socket.socket) -> None:
        """Accepts connections from now on."""
        loop = asyncio.get_running_loop()
        _notice_the_dead(shared)
        self._server = await loop.create_server(self._connection, sock=shared, backlog=_BACKLOG, ssl=self._tls)
        self._watch = loop.create_task(self._tell_watchers())

    def is_listening(self) -> bool:
        """Whether connections are being accepted."""
        return self._server is not None

    async def drain(self, patience_s: float) -> None:
        """Ends in order: at most `patience_s` for what is in hand."""
        server, self._server = self._server, None
        if server is None or self._watch is None:
            return
        self._health.draining = True
        self._watch.cancel()
        server.close()
        for connection in list(self._connections):
            connection.renew()
            connection.drain()
        await self._leave_within(_HEARD_S)
        for connection in list(self._connections):
            connection.end_when_idle()
        await self._leave_within(patience_s)
        for connection in list(self._connections):
            connection.end(ErrorCode.NO_ERROR)

    async def _leave_within(self, patience_s: float) -> None:
        until_s = time.monotonic() + patience_s
        while self._connections and time.monotonic() < until_s:
            await asyncio.sleep(_POLL_S)

    def _connection(self) -> GrpcConnection:
        return GrpcConnection(
            self._methods, self._turn, self._max_message_bytes, self._opened, self._connections.discard
        )

    def _opened(self, connection: GrpcConnection) -> None:
        self._connections.add(connection)
        if self._health.draining:  # its handshake has taken longer than we have been listening
            connection.drain()
            connection.end_when_idle()

    async def _tell_watchers(self) -> None:
        """Tells those who watch this replica's health when it changes."""
        told = self._health.is_serving()
        while True:
            await asyncio.sleep(_WATCH_S)
            if (now := self._health.is_serving()) != told:
                told = now
                for connection in list(self._connections):
                    connection.renew()


def _notice_the_dead(listening: socket.socket) -> None:
    """Connections whose other end is gone without a word are closed in two minutes. Accepted ones inherit this."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # not all of them on every system
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
