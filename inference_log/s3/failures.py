"""What an error of S3 means for a file that was to be stored: try again later, or never.

A request that was refused because of settings, credentials, permissions or load may succeed once these have changed, so
its file waits. A request that S3 will refuse for ever is the fault of the file. Codes that are not known count as that
if their status says so.
"""

from botocore.exceptions import BotoCoreError, ClientError

from inference_log.errors import LogError, SinkRefused, SinkUnavailable

ERRORS = (BotoCoreError, ClientError, OSError)
"""What boto3 raises."""

_NEVER = frozenset({400, 405, 411, 413, 414, 416, 501})
_SETTINGS = frozenset(
    {
        "AuthorizationHeaderMalformed", "ExpiredToken", "IllegalLocationConstraintException", "InvalidBucketName",
        "InvalidToken", "MalformedPolicy", "RequestTimeout", "RequestTimeTooSkewed", "TokenRefreshRequired",
        "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch",
    }
)  # fmt: skip
"""Codes with status 400 of requests that may succeed another time."""


def status_of(error: Exception) -> int:
    """Return the HTTP status of an answer, or 0 if there was none."""
    answer = getattr(error, "response", None) or {}
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def code_of(error: Exception) -> str:
    """Return S3's code of an error, such as `SlowDown`, or an empty text if there was no answer."""
    return str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))


def failure(name: str, error: Exception) -> LogError:
    """Return the error to raise, with a sentence that names the object."""
    code, status = code_of(error), status_of(error)
    sentence = f"{name} cannot be stored: {str(error).rstrip('.')}."
    if status in _NEVER and code not in _SETTINGS and not code.startswith("KMS."):
        return SinkRefused(sentence)
    return SinkUnavailable(sentence)
