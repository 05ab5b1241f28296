"""What an error of S3 means for a file that was to be stored: try again later, or never.

A request that was refused because of settings, credentials, permissions or load may succeed once these have changed, so
its file waits. A request that S3 will refuse for ever is the fault of the file. Codes that are not known count as that
if their status says so. A status without a code of S3 is the answer of something else, such as a proxy.
"""

import re

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from inference_log.errors import LogError, SinkRefused, SinkUnavailable

ERRORS = (BotoCoreError, ClientError, HTTPError, OSError)
"""What boto3 raises. A body that is cut short raises an error of urllib3."""

_NEVER = frozenset({400, 413, 414})
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,63}")
_SETTINGS = frozenset(
    {
        "AuthorizationHeaderMalformed", "ExpiredToken", "IllegalLocationConstraintException", "InvalidBucketName",
        "InvalidToken", "MalformedPolicy", "RequestTimeout", "RequestTimeTooSkewed", "TokenRefreshRequired",
        "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "InvalidBucketState", "InvalidSecurity",
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


def was_repeated(error: Exception) -> bool:
    """Return True if the request was sent more than once: an earlier one may have arrived and got no answer."""
    answer = getattr(error, "response", None) or {}
    return bool(answer.get("ResponseMetadata", {}).get("RetryAttempts"))


def label_of(error: Exception) -> str:
    """Return S3's code of an error; without one, its status, or the name of what kept S3 from answering."""
    code = code_of(error)
    if _CODE.fullmatch(code):
        return code
    return str(status_of(error) or type(error).__name__)


def failure(name: str, error: Exception) -> LogError:
    """Return the error to raise, with a sentence that names the object."""
    code = code_of(error)
    sentence = f"{name} cannot be stored: {str(error).rstrip('.')}."
    is_of_the_file = _CODE.fullmatch(code) and code not in _SETTINGS and not code.startswith("KMS.")
    if status_of(error) in _NEVER and is_of_the_file:
        return SinkRefused(sentence)
    return SinkUnavailable(sentence, label_of(error))
