"""HTTP connections that are kept between requests, for several threads.

A crowd shares two cores with the gateway that it asks. `http.client` needs a small part of the processor time that
httpx needs for a request.
"""

import os
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
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connect()
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

    def _connect(self) -> HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return HTTPConnection(host, port, timeout=self._timeout_s)
        return HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)
