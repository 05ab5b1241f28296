"""Tells answers of S3 from those of a proxy or a page to log in, which boto3 takes for empty ones."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError

from registry_sync.errors import RegistryUnavailable

BROKEN = (BotoCoreError, ResponseParserError)
"""What boto3 raises beside the errors that S3 itself answers with."""


def require_object(answer: Mapping[str, Any], name: str) -> None:
    """Return if this is an answer to GetObject.

    Raises:
        RegistryUnavailable: it has no length or no ETag, which S3 always sends. Its body is closed.
    """
    if not answer.keys() >= {"ContentLength", "ETag"}:
        answer["Body"].close()
        raise RegistryUnavailable(f"{name} comes without ETag or length. Is a proxy or a page to log in before S3?")


def require_listing(page: Mapping[str, Any], name: str) -> None:
    """Return if this is an answer to ListObjectsV2.

    Raises:
        RegistryUnavailable: it does not say if it is the last page, which S3 always does.
    """
    if "IsTruncated" not in page:
        raise RegistryUnavailable(f"{name} is listed by something else. Is a proxy or a page to log in before S3?")
