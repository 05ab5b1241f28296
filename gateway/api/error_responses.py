"""The error responses of the OpenAPI page, generated from the table of errors in `gateway.errors`.

Because they come from the table that decides the status of each response, the page cannot contradict the gateway.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import ERROR_HEADER, STATUS_OF
from registry_sync.errors import RegistryUnavailable, UnknownModel
from router.errors import Corrupt, Rejected
from runtimes.errors import ModelRefused, StillLoading
from store.errors import StoreUnavailable

Schema = dict[str, Any]


class Error(BaseModel):
    """What went wrong and, where possible, what to do about it."""

    model_config = ConfigDict(extra="forbid")

    error: str = Field(description="A sentence.", min_length=1)


READ_ERRORS = (Corrupt, StoreUnavailable)
"""The errors that reading a document may raise."""
BIND_ERRORS = (Rejected, UnknownModel, ModelRefused, StillLoading, RegistryUnavailable)
"""The errors that finding the versions of a document's arms may raise."""
NOT_FOUND = "NotFound"
"""The `x-error` value of a path that no handler serves. It has no error class."""

_ERROR: Schema = {"$ref": "#/components/schemas/Error"}
_STATUS = {error.__name__: status.http for error, status in STATUS_OF.items()} | {NOT_FOUND: 404}
_SENTENCE = {error.__name__: (error.__doc__ or "").partition("\n")[0] for error in STATUS_OF} | {
    NOT_FOUND: "There is nothing at this path. Names contain no slash."
}
_ADVICE: dict[int, dict[str, Schema]] = {
    401: {"www-authenticate": {"description": "Always `Bearer`.", "schema": {"type": "string"}}},
    429: {
        "retry-after": {
            "description": "The number of seconds to wait before the next try.",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
FAULT: Schema = {
    "description": f"A fault of the gateway, if the header {ERROR_HEADER} is missing. The gateway's log has details.",
    "content": {"application/json": {"schema": _ERROR}},
}
"""The response of status 500 that every operation may give."""


def raises(*errors: type[Exception]) -> dict[int | str, Schema]:
    """Return an operation's errors as FastAPI's argument `responses`. Each class must be in `STATUS_OF`."""
    return responses_of(error.__name__ for error in errors)


def responses_of(names: Iterable[str]) -> dict[int | str, Schema]:
    """Return one response for each status that these error classes have."""
    by_status: dict[int, list[str]] = {}
    for name in dict.fromkeys(names):
        by_status.setdefault(_STATUS[name], []).append(name)
    return {status: _response(status, by_status[status]) for status in sorted(by_status)}


def names_in(response: Schema) -> list[str]:
    """Return the error classes of a response that `responses_of` made, and nothing for any other response."""
    names: list[str] = response.get("headers", {}).get(ERROR_HEADER, {}).get("schema", {}).get("enum", [])
    return names


def _response(status: int, names: list[str]) -> Schema:
    sentences = [f"`{name}`: {_SENTENCE[name]}" for name in names]
    if status == 500:
        sentences.append(FAULT["description"])
    schema = {"type": "string", "enum": names}
    header = {"description": "The error class.", "required": status != 500, "schema": schema}
    return {
        "description": "\n\n".join(sentences),
        "headers": {ERROR_HEADER: header, **_ADVICE.get(status, {})},
        "content": {"application/json": {"schema": _ERROR}},
    }
