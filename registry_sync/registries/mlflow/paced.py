"""Connections of httpx that break off what comes too slowly. httpx has limits for each read alone."""

import ssl
from typing import Any

import httpcore
import httpx

from registry_sync.registries.pace import Pace


def pace(client: httpx.Client) -> None:
    """Have the connections of a client paced from now on. httpx has no parameter for this."""
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend()


class _Backend(httpcore.SyncBackend):
    def connect_tcp(self, *place: Any, **options: Any) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(*place, **options))


class _Stream(httpcore.NetworkStream):
    """One connection. What is written begins a request, and so another answer."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._pace = Pace()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        content = self._stream.read(max_bytes, timeout)
        if slow := self._pace.note(len(content)):
            raise httpcore.ReadTimeout(f"it comes too slowly: {slow}")
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._pace = Pace()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
