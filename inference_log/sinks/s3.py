"""A sink in a bucket of S3. An object is created once and never replaced.

A key that exists (status 412) may hold this segment's rows or others. So the stored hash and number of rows are
compared, not only the name. After an object was put it is asked for once more: an answer that looks like success may be
that of a proxy, and the segment is deleted next.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_log.errors import SinkConflict, SinkUnavailable
from inference_log.parquet import rows_of
from inference_log.s3.client import PUTS_AT_ONCE, encryption
from inference_log.s3.failures import ERRORS, failure, label_of, status_of, was_repeated
from inference_log.s3.place import Place

_SEGMENT, _ROWS = "segment-sha256", "rows"
_EXISTS = 412
_Facts = Mapping[str, str]


class S3Sink:
    """See `inference_log.sinks.Sink`. Files are written in the folder `staging` first.

    With `kms_key`, objects are encrypted with this key of KMS (SSE-KMS).
    """

    puts_at_once = PUTS_AT_ONCE

    def __init__(self, client: Any, place: Place, staging: Path, kms_key: str = "") -> None:
        self._client = client
        self._place = place
        self._staging = staging
        self._encryption = encryption(kms_key)

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
            refusal = self._create(key, staged, facts)
            self._require(key, facts, staged.stat().st_size if refusal is None else None)
        finally:
            staged.unlink(missing_ok=True)
        # One that was refused at the second try is new if the answer to the first was lost.
        return refusal is None or was_repeated(refusal)

    def _create(self, key: str, staged: Path, facts: _Facts) -> Exception | None:
        """Create the object. If it exists, return what S3 has answered."""
        try:
            with staged.open("rb") as content:
                self._client.put_object(
                    Bucket=self._place.bucket,
                    Key=self._place.key(key),
                    Body=content,
                    IfNoneMatch="*",
                    Metadata=dict(facts),
                    **self._encryption,
                )
        except ERRORS as error:
            if status_of(error) == _EXISTS:
                return error
            raise failure(self._name(key), error) from error
        return None

    def _require(self, key: str, facts: _Facts, size: int | None) -> None:
        """Raise unless the stored object has these facts and this size."""
        try:
            stored = self._client.head_object(Bucket=self._place.bucket, Key=self._place.key(key))
        except ERRORS as error:
            sentence = f"{self._name(key)} cannot be verified: {str(error).rstrip('.')}."
            raise SinkUnavailable(sentence, label_of(error)) from error
        found = stored.get("Metadata", {})
        if {name: found.get(name) for name in facts} == facts and size in (None, stored.get("ContentLength")):
            return
        if size is None:
            raise SinkConflict(f"{self._name(key)} exists and holds other rows than this segment; the segment is kept.")
        sentence = f"{self._name(key)} was put, and is not there as it was sent. Is the endpoint a proxy?"
        raise SinkUnavailable(sentence, "NotAsSent")

    def _name(self, key: str) -> str:
        return f"s3://{self._place.bucket}/{self._place.key(key)}"
