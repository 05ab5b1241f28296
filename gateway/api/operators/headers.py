"""The headers of the operators' API: If-Match, If-None-Match, ETag and x-operator."""

from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import AfterValidator

from gateway.access.change_header import CHANGE_ID_HEADER
from gateway.api.operators.responses import Changed
from gateway.api.operators.views import change_view
from gateway.control.changes import OURSELVES
from gateway.errors import BadRequest, PreconditionMissing
from store.entry import Entry

ETAG: dict[str, Any] = {
    "headers": {"etag": {"description": "The document's version.", "required": True, "schema": {"type": "string"}}}
}
UNKNOWN = "unknown"
"""The operator's name in the history if a request does not give one."""

_MAX_VERSION_DIGITS = 18


def _check_operator(who: str) -> str:
    """Reject the operator name `pointsman`: it marks automatic changes."""
    if who == OURSELVES:
        raise ValueError(f"{OURSELVES} is who makes changes by itself; name another")
    return who


Who = Annotated[
    str,
    Header(alias="x-operator", description="The operator's name, kept in the history."),
    AfterValidator(_check_operator),
]
ChangeId = Annotated[
    str,
    Header(
        alias=CHANGE_ID_HEADER,
        pattern="^[A-Za-z0-9-]{0,64}$",
        description="A name for this change, which the history shows as change_id. Without it: a random one.",
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="if-match",
        description="The version that you have read. If the document has a newer version, nothing is changed.",
    ),
]


def seen_version(if_match: str | None) -> int | None:
    """Return the version in If-Match, or None without that header.

    Raises:
        BadRequest: the header is not a version.
    """
    if if_match is None:
        return None
    version = if_match.strip().strip('"')
    if not (version.isascii() and version.isdigit() and len(version) <= _MAX_VERSION_DIGITS):
        raise BadRequest(f'If-Match is {if_match}; it must be a version such as "3".')
    return int(version)


def replaced_version(if_match: str | None, if_none_match: str | None) -> int:
    """Return the version that a declaration replaces, 0 for a new route.

    Raises:
        PreconditionMissing: the request has neither If-Match nor If-None-Match: *.
        BadRequest: If-Match is not a version.
    """
    if if_match is None and if_none_match == "*":
        return 0
    seen = seen_version(if_match)
    if seen is None:
        raise PreconditionMissing(
            'Say which version you are replacing with If-Match: "VERSION" (GET shows it as ETag), '
            "or that the route is new with If-None-Match: *."
        )
    return seen


def with_etag(entry: Entry, response: Response) -> Changed:
    """Return the response body of an entry, and set the ETag of the response."""
    response.headers["etag"] = f'"{entry.document.version}"'
    return change_view(entry)
