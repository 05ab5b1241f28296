"""Sends one HTTP request on a connection of its own.

`httpx`, which the rest of the gateway uses, would take as much processor time to import as a whole command takes.
"""

import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 6))
"""After 15 s of silence ask every 5 s. After 6 questions without a reply the connection has ended."""
_CONNECT_TRIES = 4


class Unreachable(Exception):
    """No connection could be made."""


class BrokenOff(Exception):
    """The connection ended, or was silent for too long, before the whole response was there."""


class Silent(BrokenOff):
    """The connection stands, but the response did not come in time."""


class Server(NamedTuple):
    """A server and the path that stands before every path there. `tls` is None for plain HTTP."""

    host: str
    port: int | None
    prefix: str
    tls: ssl.SSLContext | None


class Response(NamedTuple):
    """A response of any status."""

    status: int
    content: bytes


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL that names a server.

    Raises:
        ValueError: the URL does not, or holds credentials, which would appear in lists of processes.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("it must begin with http:// or https://, and then name a host")
    if parts.username is not None:
        raise ValueError("a credential belongs into POINTSMAN_KEY")
    if parts.port == 0:
        raise ValueError("no server has port 0")
    return parts


def send(
    server: Server, method: str, path: str, headers: Mapping[str, str | bytes], body: bytes | None, timeout_s: float
) -> Response:
    """Send a request and return the response. `timeout_s` limits how long the connection may be silent.

    Raises:
        Unreachable, BrokenOff, Silent: there is no response. After Unreachable the server has not seen the request.
    """
    if server.tls is None:
        connection = HTTPConnection(server.host, server.port, timeout=timeout_s)
    else:
        connection = HTTPSConnection(server.host, server.port, timeout=timeout_s, context=server.tls)
    try:
        _connect(connection)
    except (OSError, UnicodeError) as error:  # the base class of ssl.SSLError; the host is no name
        connection.close()
        raise Unreachable(str(error)) from error
    _keep_alive(connection.sock)
    try:
        connection.request(method, server.prefix + path, body, {**headers, "connection": "close"})
        response = connection.getresponse()
        return Response(response.status, response.read())
    except TimeoutError as error:
        raise Silent(str(error)) from error
    except OSError as error:
        raise BrokenOff(str(error)) from error
    except HTTPException as error:  # its text may be the bytes of another protocol
        raise BrokenOff(f"what it says is not HTTP, or not complete: {type(error).__name__}") from error
    finally:
        connection.close()


def _connect(connection: HTTPConnection) -> None:
    """Connect, and again if the replica ends that was to accept the connection: the next may reach another replica."""
    for _ in range(_CONNECT_TRIES - 1):
        try:
            return connection.connect()
        except ConnectionResetError:
            connection.close()
    return connection.connect()


def _keep_alive(connection: socket.socket) -> None:
    """Have the kernel ask now and then whether the server's machine still exists. An answer may take minutes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
