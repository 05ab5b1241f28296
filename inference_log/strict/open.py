"""Opens the second place that a setting names. Only S3 is one: a directory may be on the disk that is lost."""

import hashlib
from collections.abc import Callable

from inference_log.s3.place import is_in_s3, parse_place

_SHA256 = "sha256"


def has_second_place(log: str) -> bool:
    """Return True if a log is where the loss of a machine does not reach it."""
    return is_in_s3(log)


def open_second_place(log: str, kms_key: str = "") -> Callable[[str, bytes], None]:
    """Return the function that stores a part under a key. It raises `LogError`.

    Raises:
        LogError: the place is not written correctly.
    """
    from inference_log.s3.client import connect  # boto3 is slow to import
    from inference_log.s3.once import OnceObjects

    objects = OnceObjects(connect(quickly=True).client, parse_place(log), kms_key)

    def put(key: str, content: bytes) -> None:
        facts = {_SHA256: hashlib.sha256(content).hexdigest()}
        refusal = objects.create(key, content, facts)
        objects.require(key, facts, len(content) if refusal is None else None)

    return put
