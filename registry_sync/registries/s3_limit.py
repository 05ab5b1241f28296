"""Limits what boto3 reads: how large an answer may be that is no file (a listing, an error), and how slow each one.

boto3 would read one without end, and has limits of time for each read alone. botocore has no setting for this.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as TooSlow

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries import pace

_MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A page of a listing has at most 1000 objects, whose keys have at most 1024 bytes each."""
_PIECE_BYTES = 1024 * 1024
_NO_POOL: Any = None


def limited(client: Any) -> Any:
    """Return the client of S3, whose answers are limited from now on."""
    session = client._endpoint.http_session
    session._pool_classes_by_scheme.update(http=_Pool, https=_TlsPool)
    client._endpoint.http_session = _Session(session)
    return client


class _TimedHead:
    """A connection that is shut down if the head of an answer does not come in time."""

    sock: Any

    def getresponse(self, *options: Any, **more: Any) -> Any:
        late, taken = threading.Event(), self.sock

        def shut() -> None:
            late.set()
            with suppress(OSError):
                socket.socket.shutdown(taken, socket.SHUT_RDWR)  # not TLS's own, which is for the thread that reads

        timer = threading.Timer(pace.PATIENCE_S, shut)
        timer.daemon = True
        timer.start()
        sentence = f"the head of the answer has not come within {pace.PATIENCE_S:g} s"
        try:
            answer = super().getresponse(*options, **more)  # type: ignore[misc]  # a connection's
        except (OSError, HTTPException, HTTPError) as error:
            if late.is_set():
                raise TimeoutError(sentence) from error
            raise
        finally:
            timer.cancel()
        if late.is_set():  # it looks like an answer whose head has ended
            answer.close()
            raise TimeoutError(sentence)
        return answer


class _Connection(_TimedHead, AWSHTTPConnection):  # type: ignore[misc]  # botocore has no types
    pass


class _TlsConnection(_TimedHead, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _TlsConnection


class _Session:
    """Sends requests as botocore's own session does, and lets it read no more of an answer than the limit."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: Any) -> Any:
        """Send a request. The content of a file is left to be read."""
        is_file, request.stream_output = request.stream_output, True
        try:
            response = self._session.send(request)
        finally:
            request.stream_output = is_file
        response.raw = _Raw(response.raw, request)
        if not is_file or response.status_code >= 300:
            response.content  # noqa: B018  # reads it
        return response

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class _Raw:
    """The body of one answer."""

    def __init__(self, raw: Any, request: Any) -> None:
        self._raw = raw
        self._request = request
        self._pace = pace.Pace()

    def __getattr__(self, name: str) -> Any:
        """Return what else botocore asks of a body."""
        return getattr(self._raw, name)

    def read(self, size: int | None = None) -> bytes:
        """Return what is there of a file, at most `size` bytes; all of it without `size`.

        Raises:
            TooSlow: it does not go on, or comes too slowly.
        """
        if size is None:
            return b"".join(iter(lambda: self.read(_PIECE_BYTES), b""))
        piece: bytes = self._raw.read1(size)
        if piece and (slow := self._pace.note(len(piece))):
            self._raw.close()
            raise TooSlow(_NO_POOL, self._url, f"it comes too slowly: {slow}")
        return piece

    def stream(self) -> Iterator[bytes]:
        """Read an answer that is no file, piece by piece.

        Raises:
            RegistryUnavailable: it is too large.
            ReadTimeoutError: it does not go on, or comes too slowly.
            ConnectionClosedError: it breaks off.
        """
        count, until_s = 0, time.monotonic() + pace.ANSWER_WITHIN_S
        try:
            while piece := self.read(_PIECE_BYTES):
                count += len(piece)
                if count > _MAX_ANSWER_BYTES:
                    self._raw.close()
                    raise RegistryUnavailable(f"{self._url} answers with more than {_MAX_ANSWER_BYTES} bytes.")
                if time.monotonic() > until_s:
                    self._raw.close()
                    raise TooSlow(_NO_POOL, self._url, f"not in full within {pace.ANSWER_WITHIN_S:g} s")
                yield piece
        except TooSlow as error:
            raise ReadTimeoutError(error=error, endpoint_url=self._url) from error
        except HTTPError as error:
            raise ConnectionClosedError(error=error, request=self._request, endpoint_url=self._url) from error

    @property
    def _url(self) -> str:
        return str(self._request.url.partition("?")[0])
