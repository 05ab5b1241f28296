"""The HTTP port, on a socket that several replicas share.

With SO_REUSEPORT the kernel spreads new connections over all replicas that listen. A replica drains in four steps:

1. It stops accepting connections.
2. It sends `Connection: close` with each response, so that keep-alive clients connect elsewhere.
3. It waits until the clients have closed their connections, for a limited time.
4. uvicorn closes idle connections, and waits at most 10 s for the requests in flight.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Generator, Mapping
from typing import Any

import uvicorn

from gateway.eventloop.connection_watch import look_at
from gateway.eventloop.freed_memory import trim_after_rushes
from gateway.http.connection import HttpConnection
from gateway.http.endpoint import InferenceEndpoint

_BACKLOG = 2048
_POLL_S = 0.02
_LAST_RESPONSES_S = 10


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers. The process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone. uvicorn would install its handlers here."""
        yield


class HttpServer:
    """The HTTP server of one replica."""

    def __init__(self, endpoint: InferenceEndpoint, tls: Mapping[str, Any] | None = None) -> None:
        self._endpoint = endpoint
        config = uvicorn.Config(
            endpoint,
            http=HttpConnection,
            interface="asgi3",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_LAST_RESPONSES_S,
            **(tls or {}),
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._trimming: asyncio.Task[None] | None = None

    async def start(self, shared: socket.socket) -> None:
        """Start to accept connections on this socket.

        Raises:
            OSError: uvicorn ended before it listened.
        """
        self._task = asyncio.create_task(self._server.serve(sockets=[shared]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("The HTTP server ended before it had started.")
            await asyncio.sleep(_POLL_S)
        self._trimming = asyncio.create_task(trim_after_rushes(self._endpoint.budget))
        self._watching = asyncio.create_task(look_at(self._connections))

    def _connections(self) -> set[Any]:
        return self._server.server_state.connections

    def outstanding(self) -> int:
        """Return the number of requests in flight, those of the application behind the endpoint included."""
        return len(self._server.server_state.tasks) + self._endpoint.service.in_hand

    def is_listening(self) -> bool:
        """Return True while connections are accepted."""
        return self._task is not None and not self._task.done() and not self._endpoint.draining

    async def drain(self, timeout_s: float) -> None:
        """Stop in the order given above. Clients get at most `timeout_s` to close their connections."""
        if self._task is None:
            return
        self._endpoint.draining = True
        servers: list[Any] = self._server.servers
        for server in servers:
            server.close()
        until_s = time.monotonic() + timeout_s
        while self._server.server_state.connections and time.monotonic() < until_s:
            await asyncio.sleep(_POLL_S)
        self._server.should_exit = True
        await self._task
        for task in (self._watching, self._trimming):
            if task is not None:
                task.cancel()
