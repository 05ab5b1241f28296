"""A uvicorn server on a socket that several replicas share, and its orderly end. Acts.

With SO_REUSEPORT the kernel spreads new connections over all replicas that listen. Draining goes: stop accepting;
tell keep-alive clients to leave with their next answer; wait for requests in hand; close.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Generator, Mapping
from typing import Any

import uvicorn

from gateway.http.connection import HttpConnection
from gateway.http.endpoint import InferenceEndpoint

_BACKLOG = 2048
_POLL_S = 0.02
_KEEP_ALIVE_S = 75
_LAST_ANSWERS_S = 10


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves signals alone."""
        yield


class HttpServer:
    """One per replica."""

    def __init__(self, door: InferenceEndpoint, tls: Mapping[str, Any] | None = None) -> None:
        self._door = door
        config = uvicorn.Config(
            door,
            http=HttpConnection,
            interface="asgi3",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
            **(tls or {}),
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, shared: socket.socket) -> None:
        """Accepts connections from now on."""
        self._task = asyncio.create_task(self._server.serve(sockets=[shared]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("The listener ended before it had started.")
            await asyncio.sleep(_POLL_S)

    def outstanding(self) -> int:
        """Requests in hand, those of the application included."""
        return len(self._server.server_state.tasks) + self._door.reception.in_hand

    def is_listening(self) -> bool:
        """Whether connections are being accepted."""
        return self._task is not None and not self._task.done() and not self._door.draining

    async def drain(self, patience_s: float) -> None:
        """Ends in order: at most `patience_s` for idle clients, then for the requests in hand."""
        if self._task is None:
            return
        self._door.draining = True
        servers: list[Any] = self._server.servers
        for server in servers:
            server.close()
        until_s = time.monotonic() + patience_s
        while self._server.server_state.connections and time.monotonic() < until_s:
            await asyncio.sleep(_POLL_S)
        self._server.should_exit = True
        await self._task
