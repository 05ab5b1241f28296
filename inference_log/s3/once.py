"""Objects of S3 that are created once and never replaced.

A key that exists (status 412) may hold the same content or another. So facts of the content are stored as metadata and
compared, not only the name. After an object was put it is asked for once more: an answer that looks like success may be
that of a proxy, and what the object is a copy of is deleted next.
"""

from collections.abc import Mapping
from typing import IO, Any

from inference_log.errors import SinkConflict, SinkUnavailable
from inference_log.s3.client import encryption
from inference_log.s3.failures import ERRORS, failure, label_of, status_of
from inference_log.s3.place import Place

_EXISTS = 412


class OnceObjects:
    """The objects below one place. With `kms_key`, they are encrypted with this key of KMS (SSE-KMS)."""

    def __init__(self, client: Any, place: Place, kms_key: str = "") -> None:
        self._client = client
        self._place = place
        self._encryption = encryption(kms_key)

    def create(self, key: str, content: bytes | IO[bytes], facts: Mapping[str, str]) -> Exception | None:
        """Create an object. If it exists, return what S3 has answered.

        Raises:
            SinkRefused: S3 will never take it.
            SinkUnavailable: try again later.
        """
        try:
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

    def require(self, key: str, facts: Mapping[str, str], size: int | None) -> None:
        """Raise unless the object has these facts, and this size in bytes, which is None if another may have put it.

        Raises:
            SinkConflict: it has others.
            SinkUnavailable: it was put and is not there, or S3 does not tell.
        """
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
