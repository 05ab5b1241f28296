"""Reads answers of a server that may be broken: with limits on their size and on the time that they take."""

import time
from collections.abc import Iterator

import httpx

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries import pace

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
"""As for S3: the second figure is for a connection, the first one for each read and write."""
TIMEOUT_OF_FILES = httpx.Timeout(120.0, connect=5.0)
"""MLflow's proxy fetches a whole file from its store before it sends the first byte."""


def read_bounded(response: httpx.Response, most_bytes: int) -> bytes:
    """Return a body.

    Raises:
        RegistryUnavailable: it is too large, takes too long, or is compressed, which was not asked for.
        httpx.HTTPError: it breaks off.
    """
    until_s, content = time.monotonic() + pace.ANSWER_WITHIN_S, bytearray()
    for piece in _raw(response):
        content += piece
        if len(content) > most_bytes:
            raise RegistryUnavailable(f"{_name(response)} answers with more than {most_bytes} bytes.")
        if time.monotonic() > until_s:
            raise RegistryUnavailable(f"{_name(response)} has not answered in full within {pace.ANSWER_WITHIN_S:g} s.")
    return bytes(content)


def read_pieces(response: httpx.Response, most_bytes: int) -> Iterator[bytes]:
    """Return a file piece by piece. Raises like `read_bounded`, but for the time: `pace` limits that."""
    count = 0
    for piece in _raw(response):
        count += len(piece)
        if count > most_bytes:
            raise RegistryUnavailable(f"{_name(response)} is longer than {most_bytes} bytes.")
        yield piece


def _raw(response: httpx.Response) -> Iterator[bytes]:
    coding = response.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise RegistryUnavailable(f"{_name(response)} is sent as {coding}, which was not asked for.")
    return response.iter_raw()


def _name(response: httpx.Response) -> str:
    return str(response.request.url.copy_with(query=None))
