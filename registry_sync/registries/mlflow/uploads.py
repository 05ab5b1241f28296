"""Writes the files of a logged model: through MLflow's own proxy of artifacts, or to S3."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.artifacts import MAX_FILE_BYTES, PROXY
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing
from registry_sync.registries.mlflow.locate import Locator
from registry_sync.registries.mlflow.sources import find_files
from registry_sync.registries.regular_file import NotRegular, open_regular_file
from registry_sync.registries.s3 import Place
from runtimes.errors import ModelRefused

_PIECE_BYTES = 1024 * 1024


class Upload(Protocol):
    """A folder that takes files."""

    def write(self, file: str, content: bytes | IO[bytes], size: int, sha256: str) -> None:
        """Write a file.

        Raises:
            RegistryUnavailable: it cannot be written.
        """


def open_upload(uri: str, client: MlflowClient, locator: Locator) -> Upload:
    """Return what writes below `uri`.

    Raises:
        RegistryUnavailable: files cannot be written there.
    """
    try:
        place = find_files(uri, client)
    except ModelRefused as error:
        raise RegistryUnavailable(f"MLflow's files cannot be written. {error}") from error
    return _Proxied(client, place) if isinstance(place, str) else _S3(place, locator.s3_client())


def write_file(target: Upload, file: str, content: Path | bytes, digest: str) -> None:
    """Write a file of a version, and check that it is the one that was checked before.

    Raises:
        ModelRefused: it is another one.
        RegistryUnavailable: it cannot be written.
    """
    if isinstance(content, bytes):
        _require(hashlib.sha256(content).hexdigest(), digest, file)
        target.write(file, content, len(content), digest)
        return
    try:
        with open_regular_file(content, MAX_FILE_BYTES, follows_link=False) as (stream, found):
            _require(_digest(stream), digest, str(content))
            stream.seek(0)
            target.write(file, stream, found.st_size, digest)
    except NotRegular as error:
        raise ModelRefused(f"{content} {error}.") from error
    except OSError as error:
        raise ModelRefused(f"{content} cannot be read: {error.strerror}.") from error


class _Proxied:
    """Files that the MLflow server passes on."""

    def __init__(self, client: MlflowClient, folder: str) -> None:
        self._client = client
        self._folder = folder

    def write(self, file: str, content: bytes | IO[bytes], size: int, sha256: str) -> None:
        """See `Upload.write`."""
        body = content if isinstance(content, bytes) else _pieces(content)
        try:
            self._client.upload(f"{PROXY}/{self._folder}/{file}", body, size, sha256)
        except Missing as error:
            raise RegistryUnavailable(f"MLflow does not take {file}: {error}.") from error


class _S3:
    """Files in a bucket that this machine writes itself."""

    def __init__(self, place: Place, client: Any) -> None:
        self._place = place
        self._client = client

    def write(self, file: str, content: bytes | IO[bytes], size: int, sha256: str) -> None:  # noqa: ARG002  # boto3 signs
        """See `Upload.write`."""
        key = f"{self._place.prefix}{file}"
        try:
            self._client.put_object(Bucket=self._place.bucket, Key=key, Body=content, ContentLength=size)
        except (BotoCoreError, ClientError) as error:
            raise RegistryUnavailable(f"s3://{self._place.bucket}/{key} cannot be written: {error}.") from error


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE_BYTES):
        yield piece


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(stream):
        digest.update(piece)
    return digest.hexdigest()


def _require(found: str, digest: str, name: str) -> None:
    if found != digest:
        raise ModelRefused(f"{name} was changed while it was being published.")
