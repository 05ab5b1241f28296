"""The place of a log in S3: a bucket and a prefix."""

from typing import NamedTuple

from inference_log.errors import LogError

_SCHEME = "s3://"


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
        LogError: it names no bucket.
    """
    bucket, _, prefix = log.removeprefix(_SCHEME).partition("/")
    if not bucket:
        raise LogError(f"{log} names no bucket; write s3://BUCKET/PREFIX.")
    prefix = prefix.strip("/")
    return Place(bucket, f"{prefix}/" if prefix else "")
