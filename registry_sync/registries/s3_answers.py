"""Tells answers of S3 from those of a proxy or a page to log in, which boto3 takes for empty ones."""

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError

from registry_sync.errors import RegistryUnavailable

BROKEN = (BotoCoreError, ResponseParserError)
"""What boto3 raises beside the errors that S3 itself answers with."""

_MOST_PAGES = 1000
"""Of at most 1000 objects each."""


def why(error: Exception) -> str:
    """Return what an error says, as a part of a sentence: some of boto3's end with a dot."""
    return str(error).rstrip(".")


def require_object(answer: Mapping[str, Any], name: str) -> None:
    """Return if this is an answer to GetObject.

    Raises:
        RegistryUnavailable: it has no length or no ETag, which S3 always sends. Its body is closed.
    """
    if not answer.keys() >= {"ContentLength", "ETag"}:
        answer["Body"].close()
        raise RegistryUnavailable(f"{name} comes without ETag or length. Is a proxy or a page to log in before S3?")


def whole_listing(pages: Iterable[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Return all pages that ListObjectsV2 has answered with.

    Raises:
        RegistryUnavailable: one does not say if it is the last page, which S3 always does; or they do not end.
    """
    found: list[Mapping[str, Any]] = []
    for page in pages:
        if "IsTruncated" not in page:
            raise RegistryUnavailable(f"{name} is listed by something else. Is a proxy or a page to log in before S3?")
        if len(found) == _MOST_PAGES:
            raise RegistryUnavailable(f"{name} never ends its list of objects: it has {_MOST_PAGES} pages and more.")
        found.append(page)
    return found
