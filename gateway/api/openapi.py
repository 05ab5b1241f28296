"""The OpenAPI page, made true: what FastAPI knows of its handlers, completed with what it cannot know. Decides.

FastAPI does not see the doors (`gateway.api.openapi_inference` describes them by hand), who may ask
(`access.path_scopes`), nor what an error looks like on the wire (`errors.STATUS_OF`). The last two are read from the
tables that decide them, so the page cannot say anything else than the gateway does.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from gateway.access.caller import SCOPES
from gateway.access.path_scopes import scope_for
from gateway.errors import (
    ERROR_HEADER,
    STATUS_OF,
    BadRequest,
    Forbidden,
    NotReady,
    RateLimited,
    TooLarge,
    Unauthenticated,
)
from gateway.protocols.paths import is_prediction

Schema = dict[str, Any]

NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""What a route, an arm, a model, a version or an alias may be called."""
RouteName = Annotated[str, Path(description="A route.", json_schema_extra={"pattern": NAME})]
VersionName = Annotated[str, Path(description="A version or alias of an arm.", json_schema_extra={"pattern": NAME})]


class Error(BaseModel):
    """What went wrong and, where possible, what to do about it."""

    model_config = ConfigDict(extra="forbid")

    error: str = Field(description="A sentence.", min_length=1)


_ERROR: Schema = {"$ref": "#/components/schemas/Error"}
_ACCESS = (Unauthenticated, Forbidden, RateLimited, NotReady)
_NOT_FOUND = "NotFound"
_STATUS = {error.__name__: status.http for error, status in STATUS_OF.items()} | {_NOT_FOUND: 404}
_SENTENCE = {error.__name__: (error.__doc__ or "").partition("\n")[0] for error in STATUS_OF} | {
    _NOT_FOUND: "There is nothing at this path; no name has a slash in it."
}
_FAULT: Schema = {
    "description": f"A fault of the gateway, if there is no header {ERROR_HEADER}; its log says what happened.",
    "content": {"application/json": {"schema": _ERROR}},
}
_ADVICE: dict[int, dict[str, Schema]] = {
    401: {"www-authenticate": {"description": "Always `Bearer`.", "schema": {"type": "string"}}},
    429: {"retry-after": {"description": "In how many seconds.", "schema": {"type": "integer", "minimum": 1}}},
}
_SECURITY_SCHEMES: Schema = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`pk_...`, made with `pointsman keys create`) or, with POINTSMAN_JWKS, a JWT.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "An API key, for clients that cannot set Authorization.",
    },
}
_DESCRIPTION = f"""
Serves predictions (Open Inference Protocol V2, and KServe's V1) and is steered by one versioned document per route.

**Errors.** Every answer from 400 on is `{{"error": "a sentence"}}`; its header `{ERROR_HEADER}` names the class of the
error. A path that exists, asked with another method, is answered 405.

**Access.** Where access is required, the caller's key or token must have the scope that each operation names:
one of {", ".join(f"`{scope}`" for scope in SCOPES)}. Where it is open, nothing need be sent.
"""


def raises(*errors: type[Exception]) -> dict[int | str, Schema]:
    """An operation's errors as FastAPI's `responses` wants them. Each must be in `STATUS_OF`."""
    return _responses(error.__name__ for error in errors)


def install(app: FastAPI, paths: Callable[[], Mapping[str, Schema]], schemas: Mapping[str, Schema]) -> None:
    """Has `app` answer for its own handlers and for other paths, which the door in front of it answers."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            page = get_openapi(
                title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes, tags=app.openapi_tags
            )
            app.openapi_schema = _completed(page, paths(), schemas)
        return app.openapi_schema

    @cache
    def written() -> bytes:
        return orjson.dumps(openapi())

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI's documentation gives
    # FastAPI's own handler would write the page on the event loop: for a tenth of a second, no prediction would go on.
    app.router.routes[:] = [route for route in app.routes if getattr(route, "path", None) != app.openapi_url]

    @app.get("/openapi.json", include_in_schema=False)
    def show() -> Response:
        return Response(written(), media_type="application/json")


def operation_id(route: APIRoute) -> str:
    """The handler's name, which generated clients call their methods after."""
    return route.name


def _completed(page: Schema, paths: Mapping[str, Schema], schemas: Mapping[str, Schema]) -> Schema:
    known = page["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    known |= {**schemas, "Error": Error.model_json_schema()}
    page["components"]["securitySchemes"] = _SECURITY_SCHEMES
    page["paths"] = dict(paths) | page["paths"]
    for path, operations in page["paths"].items():
        for method, operation in operations.items():
            _complete(method.upper(), path, operation)
    return page


def _complete(method: str, path: str, operation: Schema) -> None:
    """Adds what is true of every operation of its kind."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]  # what is not valid is answered 400, see `gateway.api.app`
    names = [name for response in responses.values() for name in _names(response)]
    if "requestBody" in operation:
        names += [BadRequest.__name__, TooLarge.__name__]
    elif any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        names.append(BadRequest.__name__)
    if "{" in path and not is_prediction(path):
        names.append(_NOT_FOUND)
    wanted = scope_for(method, path)
    if wanted is None:
        operation["security"] = []
    else:
        names += [error.__name__ for error in _ACCESS]
        operation["security"] = [{scheme: [wanted.scope]} for scheme in _SECURITY_SCHEMES]
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope `{wanted.scope}`."
    for status, response in _responses(names).items():
        kept = responses.get(str(status), {})
        if not kept or _names(kept):  # otherwise the handler has described an answer of its own
            headers = kept.get("headers", {}) | response["headers"]
            responses[str(status)] = {**response, "headers": headers}
    responses.setdefault("500", _FAULT)
    operation["responses"] = dict(sorted(responses.items()))


def _names(response: Schema) -> list[str]:
    """The error classes that one of our responses stands for."""
    names: list[str] = response.get("headers", {}).get(ERROR_HEADER, {}).get("schema", {}).get("enum", [])
    return names


def _responses(names: Iterable[str]) -> dict[int | str, Schema]:
    by_status: dict[int, list[str]] = {}
    for name in dict.fromkeys(names):
        by_status.setdefault(_STATUS[name], []).append(name)
    return {status: _response(status, by_status[status]) for status in sorted(by_status)}


def _response(status: int, names: list[str]) -> Schema:
    said = [f"`{name}`: {_SENTENCE[name]}" for name in names]
    if status == 500:
        said.append(_FAULT["description"])
    schema = {"type": "string", "enum": names}
    header = {"description": "The class of the error.", "required": status != 500, "schema": schema}
    return {
        "description": "\n\n".join(said),
        "headers": {ERROR_HEADER: header, **_ADVICE.get(status, {})},
        "content": {"application/json": {"schema": _ERROR}},
    }
