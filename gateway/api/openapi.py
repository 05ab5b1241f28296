"""The OpenAPI page: what FastAPI knows of its handlers, completed with what it cannot know.

FastAPI does not know the operations that the HTTP endpoint serves before it (`gateway.api.openapi_inference`), the
scope of each path (`gateway.access.path_scopes`) and the format of errors (`gateway.api.error_responses`). Scopes and
errors are read from the tables that decide them, so the page cannot contradict the gateway.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated

import orjson
from fastapi import FastAPI, Path, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from gateway.access.browser import is_change
from gateway.access.caller import SCOPES
from gateway.access.change_header import CHANGE_HEADER
from gateway.access.path_scopes import scope_for
from gateway.api.error_responses import FAULT, NOT_FOUND, Error, Schema, names_in, responses_of
from gateway.errors import (
    ERROR_HEADER,
    BadRequest,
    CrossOrigin,
    Forbidden,
    NotReady,
    RateLimited,
    TooLarge,
    Unauthenticated,
)
from gateway.protocols.paths import is_prediction

NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""The pattern of the names of routes, arms, models, versions and aliases."""
RouteName = Annotated[str, Path(description="A route.", json_schema_extra={"pattern": NAME})]
VersionName = Annotated[str, Path(description="A version or alias of an arm.", json_schema_extra={"pattern": NAME})]

_ACCESS_ERRORS = (Unauthenticated, Forbidden, CrossOrigin, RateLimited, NotReady)
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
_CHANGE_HEADER: Schema = {
    "name": CHANGE_HEADER,
    "in": "header",
    "required": False,
    "description": "Needed where access is open and the request has no content type application/json.",
    "schema": {"type": "string", "enum": ["1"], "default": "1"},
}
"""The page at /docs sends a parameter's default unless the operator clears it."""
_DESCRIPTION = f"""
Serves predictions (Open Inference Protocol V2, and KServe's V1). One versioned document per route controls them.

**Errors.** Every response with a status of 400 or above is `{{"error": "a sentence"}}`. Its header `{ERROR_HEADER}`
names the class of the error. A path that exists, but not with the method of the request, gives 405.

**Access.** Where access is required, the caller's key or token must have the scope that each operation names:
one of {", ".join(f"`{scope}`" for scope in SCOPES)}. Where access is open, no credential is needed.

**Browsers.** A web page of another origin gets 403, unless POINTSMAN_CORS_ORIGINS lists its origin. Where access is
open, `Host` must be a name of the gateway, and a change needs `content-type: application/json` or `{CHANGE_HEADER}: 1`.
"""


def install(app: FastAPI, inference_page: Callable[[], Schema]) -> None:
    """Make `app` serve a page of its own handlers and of the operations in `inference_page`."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            page = get_openapi(
                title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes, tags=app.openapi_tags
            )
            app.openapi_schema = _completed(page, inference_page())
        return app.openapi_schema

    @cache
    def encoded() -> bytes:
        return orjson.dumps(openapi())

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI's documentation gives
    # FastAPI's own handler builds the page on the event loop, which would stop predictions for a tenth of a second.
    # FastAPI(openapi_url=None) would not add that handler, but FastAPIOffline needs the URL for /docs.
    app.router.routes[:] = [route for route in app.routes if getattr(route, "path", None) != app.openapi_url]

    @app.get("/openapi.json", include_in_schema=False)
    def show() -> Response:
        return Response(encoded(), media_type="application/json")


def operation_id(route: APIRoute) -> str:
    """Return the handler's name. Generated clients name their methods after it."""
    return route.name


def _completed(page: Schema, inference: Schema) -> Schema:
    schemas = page["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= {**inference["components"]["schemas"], "Error": Error.model_json_schema()}
    page["components"]["securitySchemes"] = _SECURITY_SCHEMES
    page["paths"] = inference["paths"] | page["paths"]
    for path, operations in page["paths"].items():
        for method, operation in operations.items():
            _complete(method.upper(), path, operation)
    return page


def _complete(method: str, path: str, operation: Schema) -> None:
    """Add the scope and the errors that every operation of this kind has."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]  # `gateway.api.app` answers 400 to a request that is not valid
    if is_change(method, path):
        operation.setdefault("parameters", []).append(_CHANGE_HEADER)
    names = [name for response in responses.values() for name in names_in(response)]
    if "requestBody" in operation:
        names += [BadRequest.__name__, TooLarge.__name__]
    elif any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        names.append(BadRequest.__name__)
    if "{" in path and not is_prediction(path):
        names.append(NOT_FOUND)
    wanted = scope_for(method, path)
    if wanted is None:
        operation["security"] = []
    else:
        names += [error.__name__ for error in _ACCESS_ERRORS]
        operation["security"] = [{scheme: [wanted.scope]} for scheme in _SECURITY_SCHEMES]
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope `{wanted.scope}`."
    for status, response in responses_of(names).items():
        kept = responses.get(str(status), {})
        if not kept or names_in(kept):  # other responses are described by their handler
            headers = kept.get("headers", {}) | response["headers"]
            responses[str(status)] = {**response, "headers": headers}
    responses.setdefault("500", FAULT)
    operation["responses"] = dict(sorted(responses.items()))
