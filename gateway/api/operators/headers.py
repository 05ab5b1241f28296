"""What the operators' handlers have in common: headers, errors, and the answer to a change."""

from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import AfterValidator

from gateway.api.operators.responses import Changed
from gateway.api.operators.views import changed, etag
from gateway.control.changes import OURSELVES
from registry_sync.errors import RegistryUnavailable, UnknownModel
from router.errors import Corrupt, Rejected
from runtimes.errors import ModelRefused
from store.errors import StoreUnavailable
from store.interface import Entry

READ = (Corrupt, StoreUnavailable)
"""What reading a document may raise."""
BIND = (Rejected, UnknownModel, ModelRefused, RegistryUnavailable)
"""What finding the versions behind a document may raise."""
ETAG: dict[str, Any] = {
    "headers": {"etag": {"description": "The document's version.", "required": True, "schema": {"type": "string"}}}
}


def _not_ours(who: str) -> str:
    """Nobody's change shall look like one that was made by itself."""
    if who == OURSELVES:
        raise ValueError(f"{OURSELVES} is who makes changes by itself; name another")
    return who


Who = Annotated[
    str, Header(alias="x-operator", description="Who asks; kept in the history."), AfterValidator(_not_ours)
]
IfMatch = Annotated[
    str | None,
    Header(alias="if-match", description="The version that you have seen; if it is not the newest, nothing is done."),
]
NOBODY = "unknown"


def with_etag(entry: Entry, response: Response) -> Changed:
    """The answer that shows an entry."""
    response.headers["etag"] = etag(entry.document)
    return changed(entry)
