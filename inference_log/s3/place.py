"""The place of a log in S3: a bucket and a prefix. boto3 is not imported: the replica's process checks the setting."""

import re
from typing import NamedTuple

from inference_log.errors import LogError

_SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LOOKS_LIKE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[sS]3[an]?:")
_MAX_PREFIX_BYTES = 512
"""A key has at most 1,024 bytes. What follows the prefix has up to 300."""


class Place(NamedTuple):
    """A bucket, and a prefix that is empty or ends with a slash."""

    bucket: str
    prefix: str

    def key(self, path: str) -> str:
        """Return the object's key for a path that is relative to the log."""
        return self.prefix + path


def is_in_s3(log: str) -> bool:
    """Return True if `log` names a bucket, and False if it is a directory."""
    return log.startswith(_SCHEME)


def parse_place(log: str) -> Place:
    """Return the place that `s3://BUCKET[/PREFIX]` names.

    Raises:
        LogError: no bucket can have the name, or the prefix is too long.
    """
    bucket, _, prefix = log.removeprefix(_SCHEME).partition("/")
    if not bucket:
        raise LogError(f"{log} names no bucket; write s3://BUCKET/PREFIX.")
    if not _BUCKET.fullmatch(bucket):
        raise LogError(f"{bucket} cannot be the name of a bucket: 3 to 63 of a-z, 0-9, dots and hyphens.")
    prefix = prefix.strip("/")
    if len(prefix.encode()) > _MAX_PREFIX_BYTES:
        raise LogError(f"The log's prefix may have {_MAX_PREFIX_BYTES} bytes; use a shorter one than {prefix[:40]}….")
    return Place(bucket, f"{prefix}/" if prefix else "")


def check_setting(log: str) -> None:
    """Reject a place that no log can have. Nothing is sent.

    Raises:
        LogError: it is neither a directory nor `s3://BUCKET/PREFIX`.
    """
    if is_in_s3(log):
        parse_place(log)
    elif _LOOKS_LIKE_URL.match(log):
        raise LogError(f"{log} is no place of a log; write a directory, or s3://BUCKET/PREFIX.")
