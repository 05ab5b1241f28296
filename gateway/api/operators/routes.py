"""The handlers that read documents, declare them, and show their history."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import RootModel

from gateway.access.middleware import caller_of
from gateway.api.error_responses import BIND_ERRORS, READ_ERRORS, raises
from gateway.api.openapi import RouteName
from gateway.api.operators.as_json import as_json
from gateway.api.operators.headers import ETAG, UNKNOWN, ChangeId, Who, replaced_version, with_etag
from gateway.api.operators.requests import ApplyBody
from gateway.api.operators.responses import Changed, Described
from gateway.api.operators.route_schema import RouteSpec
from gateway.api.operators.strict_json import StrictRoute
from gateway.api.operators.views import change_view, document_view
from gateway.control.changes import Changes, Note
from gateway.control.in_force import documents_in_force
from gateway.errors import PreconditionMissing
from router.errors import Rejected, UnknownRoute
from router.spec.parse import parse_spec
from store.errors import Conflict, Moved
from store.interface import Store

MOST_ENTRIES = 1000
"""The largest number of versions or changes in one response."""

_Routes = RootModel[list[Described]]
_PUT_ERRORS = raises(Conflict, Moved, PreconditionMissing, *BIND_ERRORS, *READ_ERRORS)


def route_router(store: Store, changes: Changes) -> APIRouter:
    """Build the router of what concerns documents."""
    router = APIRouter(route_class=StrictRoute)

    @router.get("/routes", response_model=list[Described], responses=raises(*READ_ERRORS))
    def list_routes() -> Response:
        """Return the documents of all routes."""
        return as_json(_Routes([document_view(document) for _, document in sorted(documents_in_force(store).items())]))

    @router.get("/routes/{route}", responses={200: ETAG, **raises(UnknownRoute, *READ_ERRORS)})
    def get_route(route: RouteName, response: Response) -> Changed:
        """Return the document of one route. Its version is the ETag."""
        return with_etag(changes.existing(route), response)

    @router.put("/routes/{route}", responses={200: ETAG, **_PUT_ERRORS})
    def put_route(
        route: RouteName,
        spec: RouteSpec,
        response: Response,
        if_match: Annotated[str | None, Header()] = None,
        if_none_match: Annotated[str | None, Header()] = None,
        who: Who = UNKNOWN,
        why: str = "",
        change_id: ChangeId = "",
    ) -> Changed:
        """Declare a route. If-Match names the version that is replaced; If-None-Match: * means that it is new."""
        declared = parse_spec({"route": route, **spec})
        if declared.route != route:
            raise Rejected(f"The path names route {route}, the document route {declared.route}.")
        expected = replaced_version(if_match, if_none_match)
        (entry,) = changes.declare([declared], {route: expected}, Note(who, "apply", why, change_id))
        return with_etag(entry, response)

    @router.post("/apply", responses=raises(Conflict, Moved, *BIND_ERRORS, *READ_ERRORS))
    def apply_routes(body: ApplyBody, request: Request, who: Who = UNKNOWN, change_id: ChangeId = "") -> list[Changed]:
        """Declare several routes, or none. `expected` is the version that is replaced, 0 for a new route."""
        specs = [parse_spec(each.spec) for each in body.routes]
        expected = {spec.route: each.expected for spec, each in zip(specs, body.routes, strict=True)}
        if len(expected) < len(specs):
            raise Rejected("A route is declared twice; each may be declared once.")
        caller = caller_of(request.scope)
        if caller is not None:
            for route in expected:
                caller.require("operate", route)
        note = Note(who, "apply", body.why, change_id)
        return [change_view(entry) for entry in changes.declare(specs, expected, note)]

    @router.get("/routes/{route}/history", responses=raises(UnknownRoute, *READ_ERRORS))
    def history(route: RouteName, limit: int = 20) -> list[Changed]:
        """Return the versions of a route, the newest first, each with who changed it, when, how and why."""
        changes.existing(route)
        return [change_view(entry) for entry in store.history(route, max(1, min(limit, MOST_ENTRIES)))]

    return router
