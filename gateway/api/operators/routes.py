"""Documents over HTTP: read them, declare them, look at their history. Acts on the store."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from gateway.access.middleware import caller_of
from gateway.api.openapi import RouteName, raises
from gateway.api.operators.headers import BIND, ETAG, NOBODY, READ, Who, with_etag
from gateway.api.operators.preconditions import replaced_version
from gateway.api.operators.requests import ApplyBody
from gateway.api.operators.responses import Changed, Described, RouteSpec
from gateway.api.operators.views import changed, described
from gateway.control.changes import Changes, Note
from gateway.errors import PreconditionMissing
from router.errors import Rejected, UnknownRoute
from router.spec.parse import parse_spec
from store.errors import Conflict, Moved
from store.interface import Store

MOST_ENTRIES = 1000
"""How many versions, or changes, are shown at once at most."""

_DECLARE = raises(Conflict, Moved, *BIND, *READ)


def route_router(store: Store, changes: Changes) -> APIRouter:
    """What concerns documents as such."""
    router = APIRouter()

    @router.get("/routes", responses=raises(*READ))
    def list_routes() -> list[Described]:
        """Every declared route."""
        return [described(document) for _, document in sorted(store.documents().items())]

    @router.get("/routes/{route}", responses={200: ETAG, **raises(UnknownRoute, *READ)})
    def get_route(route: RouteName, response: Response) -> Changed:
        """One route's document; its version is the ETag."""
        return with_etag(changes.existing(route), response)

    @router.put("/routes/{route}", responses={200: ETAG, **raises(Conflict, Moved, PreconditionMissing, *BIND, *READ)})
    def put_route(
        route: RouteName,
        spec: RouteSpec,
        response: Response,
        if_match: Annotated[str | None, Header()] = None,
        if_none_match: Annotated[str | None, Header()] = None,
        who: Who = NOBODY,
        why: str = "",
    ) -> Changed:
        """Declares a route. If-Match names the version that is replaced; If-None-Match: * says it must be new."""
        declared = parse_spec({"route": route, **spec})
        if declared.route != route:
            raise Rejected(f"The path names route {route}, the document route {declared.route}.")
        expected = replaced_version(if_match, if_none_match)
        (entry,) = changes.declare([declared], {route: expected}, Note(who, "apply", why))
        return with_etag(entry, response)

    @router.post("/apply", responses=_DECLARE)
    def apply_routes(body: ApplyBody, request: Request, who: Who = NOBODY) -> list[Changed]:
        """Declares several routes, all or none. `expected` names the version that is replaced, 0 that there is none."""
        specs = [parse_spec(each.spec) for each in body.routes]
        expected = {spec.route: each.expected for spec, each in zip(specs, body.routes, strict=True)}
        if len(expected) < len(specs):
            raise Rejected("A route is declared twice; each may be declared once.")
        caller = caller_of(request.scope)
        if caller is not None:
            for route in expected:
                caller.require("operate", route)
        return [changed(entry) for entry in changes.declare(specs, expected, Note(who, "apply", body.why))]

    @router.get("/routes/{route}/history", responses=raises(UnknownRoute, *READ))
    def history(route: RouteName, limit: int = 20) -> list[Changed]:
        """The newest versions first: who, when, what, why."""
        changes.existing(route)
        return [changed(entry) for entry in store.history(route, max(1, min(limit, MOST_ENTRIES)))]

    return router
