"""A sink in a bucket of S3. An object is created once, and never replaced (`inference_log.s3.once`)."""

import hashlib
from pathlib import Path
from typing import Any

from inference_log.errors import SinkUnavailable
from inference_log.parquet import rows_of
from inference_log.s3.client import PUTS_AT_ONCE
from inference_log.s3.failures import was_repeated
from inference_log.s3.once import OnceObjects
from inference_log.s3.place import Place

_SEGMENT, _ROWS = "segment-sha256", "rows"


class S3Sink:
    """See `inference_log.sinks.Sink`. Files are written in the folder `staging` first.

    With `kms_key`, objects are encrypted with this key of KMS (SSE-KMS).
    """

    puts_at_once = PUTS_AT_ONCE

    def __init__(self, client: Any, place: Place, staging: Path, kms_key: str = "") -> None:
        self._objects = OnceObjects(client, place, kms_key)
        self._staging = staging

    def staging_path(self, key: str, segment_sha256: str) -> Path:
        """See `Sink.staging_path`."""
        # Not the key itself: a file's name has at most 255 bytes, and a route's alone may have 128.
        staged = self._staging / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.{segment_sha256[:8]}"
        try:
            self._staging.mkdir(parents=True, exist_ok=True)
            staged.unlink(missing_ok=True)
        except OSError as error:
            raise SinkUnavailable(f"{staged} cannot be written: {error}.") from error
        return staged

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        """See `Sink.put`."""
        try:
            facts = {_SEGMENT: segment_sha256, _ROWS: str(rows_of(staged))}
            with staged.open("rb") as content:
                refusal = self._objects.create(key, content, facts)
            self._objects.require(key, facts, staged.stat().st_size if refusal is None else None)
        finally:
            staged.unlink(missing_ok=True)
        # One that was refused at the second try is new if the answer to the first was lost.
        return refusal is None or was_repeated(refusal)
