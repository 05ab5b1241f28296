"""The gRPC port, which several replicas share, and its orderly end.

Draining takes these steps. Health reports that the replica is not serving. No connection is accepted any more. Every
client gets a GOAWAY, so that it opens its next calls elsewhere, while calls that are on their way are still accepted. A
moment later new calls are refused, which allows gRPC's clients to send them elsewhere. Idle connections end.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from itertools import islice
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from gateway.eventloop.body_budget import BodyBudget
from gateway.eventloop.connection_age import lifetime_s
from gateway.eventloop.connection_watch import look_at
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.eventloop.offload import Offload
from gateway.grpc.connection import GrpcConnection
from gateway.grpc.health import SERVICE as HEALTH
from gateway.grpc.health import Health
from gateway.grpc.http2.connection import Http2Connection
from gateway.grpc.limits import GrpcLimits
from gateway.grpc.method import Method
from gateway.grpc.reflection import V1, V1ALPHA, Reflection
from gateway.grpc.rewards import SERVICE as REWARDS

SERVICE = "inference.GRPCInferenceService"
_BACKLOG = 2048
_POLL_S = 0.02
_NOTICE_S = 0.25  # the time for a client to read that it should send calls elsewhere
_WATCH_S = 0.2
_CANDIDATES = 64
"""Among so many connections the one that is idle longest is ended to make room."""
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Idle seconds before the first probe, seconds between probes, and how many probes may go unanswered."""


class GrpcServer:
    """The gRPC port of one replica."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        is_ready: Callable[[], bool],
        turn: EndOfTurn,
        *,
        limits: GrpcLimits,
        budget: BodyBudget,
        offload: Offload,
        tls: ssl.SSLContext | None = None,
        rewards: Mapping[str, Method] = MappingProxyType({}),
    ) -> None:
        self._health = Health((SERVICE, REWARDS), is_ready)
        by_service = {
            SERVICE: methods,
            REWARDS: rewards,
            HEALTH: self._health.methods(),
            V1ALPHA: (reflected := Reflection((SERVICE, REWARDS, HEALTH)).methods()),
            V1: reflected,
        }
        self._methods = {
            f"/{service}/{name}".encode(): method
            for service, named in by_service.items()
            for name, method in named.items()
        }
        self._turn = turn
        self._limits = limits
        self._budget = budget
        self._offload = offload
        self._tls = tls
        self._connections: set[GrpcConnection] = set()
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None
        self._check: asyncio.Task[None] | None = None

    async def start(self, shared: socket.socket) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        _enable_keepalive(shared)
        self._server = await loop.create_server(self._protocol, sock=shared, backlog=_BACKLOG, **self._tls_options())
        self._watch = loop.create_task(self._renew_on_change())
        self._check = loop.create_task(look_at(lambda: [each.http2 for each in self._connections]))

    def is_listening(self) -> bool:
        """Return True if connections are being accepted."""
        return self._server is not None

    async def drain(self, patience_s: float) -> None:
        """End in order. Calls that are being worked on have `patience_s` to complete."""
        server, self._server = self._server, None
        if server is None or self._watch is None or self._check is None:
            return
        self._health.draining = True
        self._watch.cancel()
        server.close()
        for connection in list(self._connections):
            connection.renew()
            connection.drain()
        await self._wait_until_closed(_NOTICE_S)
        for connection in list(self._connections):
            connection.end_when_idle()
        await self._wait_until_closed(patience_s)
        for connection in list(self._connections):
            connection.end()
        self._check.cancel()

    def _tls_options(self) -> dict[str, Any]:
        # A connection within its handshake is not in `_connections`, and asyncio would give it 60 s.
        return {} if self._tls is None else {"ssl": self._tls, "ssl_handshake_timeout": self._limits.time.hello_s}

    async def _wait_until_closed(self, patience_s: float) -> None:
        """Wait until every client has closed its connection, but at most `patience_s`."""
        until_s = time.monotonic() + patience_s
        while self._connections and time.monotonic() < until_s:
            await asyncio.sleep(_POLL_S)

    def _protocol(self) -> Http2Connection:
        return GrpcConnection(
            self._methods,
            self._turn,
            max_message_bytes=self._limits.max_message_bytes,
            budget=self._budget,
            offload=self._offload,
            time_limits=self._limits.time._replace(life_s=lifetime_s(self._limits.max_age_s)),
            opened=self._opened,
            closed=self._connections.discard,
        ).http2

    def _opened(self, connection: GrpcConnection) -> None:
        self._connections.add(connection)
        if len(self._connections) > self._limits.max_connections:
            self._make_room(connection)
        if self._health.draining:  # its TLS handshake ended after the server stopped listening
            connection.drain()
            connection.end_when_idle()

    def _make_room(self, newest: GrpcConnection) -> None:
        """End the connection that has been idle longest, of some. If none is idle, end one that only watches.

        Every client may watch the health for as long as it likes. If all others have calls, the newest is ended.
        """
        some = [each for each in islice(self._connections, _CANDIDATES) if each is not newest]
        idle = [(since_s, each) for each in some if (since_s := each.http2.idle_since_s()) is not None]
        if idle:
            min(idle, key=itemgetter(0))[1].end()
        else:
            next((each for each in some if each.only_watches()), newest).end()

    async def _renew_on_change(self) -> None:
        """Send the replica's health to the clients that watch it, whenever it has changed."""
        last = self._health.is_serving()
        while True:
            await asyncio.sleep(_WATCH_S)
            if (now := self._health.is_serving()) != last:
                last = now
                for connection in list(self._connections):
                    connection.renew()


def _enable_keepalive(listening: socket.socket) -> None:
    """Close connections two minutes after their other end vanished without a FIN. Accepted sockets inherit this."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # some systems lack some of them
            listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
