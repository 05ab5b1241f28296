"""The names of compacted files. No segment's file has such a name, since that ends with eight hexadecimal digits."""

import hashlib
import re
from collections.abc import Iterable

from inference_log.files import StoredFile

PREFIX = "compacted-"
_NAME = re.compile(PREFIX + r"[0-9a-f]{16}-\d{4}\.parquet")
_FORMAT = "1"
"""Changes when the same rows are written otherwise than before."""


def identity_of(inputs: Iterable[StoredFile], target_bytes: int) -> str:
    """Return the identity of what becomes of these files: 64 hexadecimal digits."""
    said = [_FORMAT, str(target_bytes), *(f"{each.key} {each.size}" for each in sorted(inputs))]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def output_name(identity: str, number: int) -> str:
    """Return the name of the file of this number."""
    return f"{PREFIX}{identity[:16]}-{number:04d}.parquet"


def is_compacted(key: str) -> bool:
    """Return True if a key is that of a compacted file."""
    return _NAME.fullmatch(key.rpartition("/")[2]) is not None
