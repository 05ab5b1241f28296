"""Limits what boto3 reads of an answer that is no file: a listing, or an error. It would read one without end."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ConnectionClosedError
from urllib3.exceptions import HTTPError

from registry_sync.errors import RegistryUnavailable

_MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A page of a listing has at most 1000 objects, whose keys have at most 1024 bytes each."""
_PIECE_BYTES = 64 * 1024


def limited(client: Any) -> Any:
    """Return the client of S3, whose answers are limited from now on. botocore has no setting for this."""
    client._endpoint.http_session = _Session(client._endpoint.http_session)
    return client


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
        if not is_file or response.status_code >= 300:
            response.raw = _Raw(response.raw, request)
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

    def stream(self) -> Iterator[bytes]:
        """Read it piece by piece.

        Raises:
            RegistryUnavailable: it is too large.
            ConnectionClosedError: it breaks off, or does not go on.
        """
        url, count = self._request.url.partition("?")[0], 0
        try:
            for piece in self._raw.stream(_PIECE_BYTES):
                count += len(piece)
                if count > _MAX_ANSWER_BYTES:
                    self._raw.close()
                    raise RegistryUnavailable(f"{url} answers with more than {_MAX_ANSWER_BYTES} bytes.")
                yield piece
        except HTTPError as error:
            raise ConnectionClosedError(error=error, request=self._request, endpoint_url=url) from error
