"""HTTP connections that are kept between requests, for several threads.

A crowd shares two cores with the gateway that it asks. `http.client` needs a small part of the processor time that
httpx needs for a request.
"""

import os
import select
from collections import deque
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple

from gateway.cli.credentials import tls_context
from gateway.cli.http_request import split_url

BROKEN = (OSError, HTTPException)
"""What is raised if there is no response."""


class Answer(NamedTuple):
    """A response. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connections:
    """Connections to the server of a URL. Each serves one request at a time, and a thread takes any that is free."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        self._parts = split_url(url)
        self._headers = dict(headers)
        self._timeout_s = timeout_s
        self._tls = tls_context(os.environ) if self._parts.scheme == "https" else None
        self._free: deque[HTTPConnection] = deque()

    def post(self, path: str, content: bytes) -> Answer:
        """Send a request and return the response of any status.

        Raises:
            OSError, HTTPException: there is no response. The connection is closed.
        """
        connection = self._take()
        try:
            connection.request("POST", self._parts.path.rstrip("/") + path, content, self._headers)
            response = connection.getresponse()
            answer = Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        except BaseException:
            connection.close()
            raise
        self._free.append(connection)
        return answer

    def close(self) -> None:
        """Close the connections. No thread may use them any more."""
        while self._free:
            self._free.pop().close()

    def _take(self) -> HTTPConnection:
        """Return a free connection that the server has not ended, or a new one."""
        while True:
            try:
                connection = self._free.pop()
            except IndexError:
                return self._connect()
            if not _is_ended(connection):
                return connection
            connection.close()

    def _connect(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return HTTPConnection(host, port, timeout=self._timeout_s)
        return HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)


def _is_ended(connection: HTTPConnection) -> bool:
    """Return True if something came on a connection that waits for no response: the server's end of it."""
    if connection.sock is None:  # the last response said so; the next request makes it anew
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
