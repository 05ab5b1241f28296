"""The files of a log in S3. boto3 lists, writes and removes; PyArrow reads, with the credentials that boto3 found."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from inference_log.errors import LogUnavailable
from inference_log.files import StoredFile, is_hidden
from inference_log.s3.client import Connection, encryption
from inference_log.s3.failures import ERRORS, code_of
from inference_log.s3.place import Place

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Files:
    """See `inference_log.files.LogFiles`. With `kms_key`, what is written is encrypted with this key of KMS."""

    def __init__(self, connection: Connection, place: Place, kms_key: str = "") -> None:
        self._connection = connection
        self._client = connection.client
        self._place = place
        self._encryption = encryption(kms_key)

    @cached_property
    def filesystem(self) -> "pafs.FileSystem":
        """See `LogFiles.filesystem`. The credentials are those of the first call."""
        return _filesystem(self._connection)

    def path(self, key: str) -> str:
        """See `LogFiles.path`."""
        return f"{self._place.bucket}/{self._place.key(key)}"

    def list(self, below: str) -> Sequence[StoredFile]:
        """See `LogFiles.list`."""
        start, found = len(self._place.prefix), []
        for page in self._pages(below):
            for each in page.get("Contents", ()):
                key = each["Key"][start:]
                if not key.endswith("/") and not is_hidden(key, below):
                    found.append(StoredFile(key, int(each["Size"])))
        return sorted(found)

    def folders(self, below: str) -> Sequence[str]:
        """See `LogFiles.folders`."""
        pages = self._pages(below, Delimiter="/")
        prefixes = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", ())]
        names = [prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes]
        return sorted(name for name in names if not is_hidden(name))

    def read(self, key: str) -> bytes | None:
        """See `LogFiles.read`."""
        try:
            answer = self._client.get_object(Bucket=self._place.bucket, Key=self._place.key(key))
            with answer["Body"] as body:
                content: bytes = body.read()
        except ERRORS as error:
            if code_of(error) in _MISSING:
                return None
            raise self._unavailable(key, "read", error) from error
        return content

    def write(self, key: str, content: bytes) -> None:
        """See `LogFiles.write`."""
        try:
            self._client.put_object(
                Bucket=self._place.bucket, Key=self._place.key(key), Body=content, **self._encryption
            )
        except ERRORS as error:
            raise self._unavailable(key, "written", error) from error

    def remove(self, key: str) -> None:
        """See `LogFiles.remove`."""
        try:
            self._client.delete_object(Bucket=self._place.bucket, Key=self._place.key(key))
        except ERRORS as error:
            raise self._unavailable(key, "removed", error) from error

    def _pages(self, below: str, **options: str) -> Iterator[Mapping[str, Any]]:
        try:
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._place.bucket, Prefix=self._place.key(below), **options):
                if "KeyCount" not in page:
                    raise LogUnavailable(f"{self.path(below)} cannot be listed: the answer is not one of S3.")
                yield page
        except ERRORS as error:
            raise self._unavailable(below, "listed", error) from error

    def _unavailable(self, key: str, what: str, error: Exception) -> LogUnavailable:
        return LogUnavailable(f"s3://{self.path(key)} cannot be {what}: {str(error).rstrip('.')}.")


def _filesystem(connection: Connection) -> "pafs.FileSystem":
    """Return PyArrow's view of the store that boto3 talks to, with the credentials as they are now."""
    import pyarrow.fs as pafs

    meta = connection.client.meta
    endpoint = urlsplit(meta.endpoint_url)
    options: dict[str, Any] = {"region": meta.region_name, "scheme": endpoint.scheme, "connect_timeout": 5.0}
    if not (endpoint.hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        options["endpoint_override"] = endpoint.netloc
    if connection.credentials is not None:
        frozen = connection.credentials.get_frozen_credentials()
        options |= {
            "access_key": frozen.access_key, "secret_key": frozen.secret_key, "session_token": frozen.token,
        }  # fmt: skip
    return pafs.S3FileSystem(**options)
