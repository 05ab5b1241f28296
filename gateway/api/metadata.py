"""The read side of V2 and V1 over HTTP. Acts."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from gateway.api import metadata_models as answers
from gateway.api.openapi import Error, RouteName, VersionName, raises
from gateway.errors import NotReady
from gateway.inference.metadata import Metadata
from router.errors import UnknownRoute, UnknownVersion

_ROUTE_ERRORS = raises(UnknownRoute, NotReady)
_VERSION_ERRORS = raises(UnknownRoute, UnknownVersion, NotReady)


class IndexBody(BaseModel):
    """`{"ready": true}` leaves out what is not being served."""

    ready: bool = False


def describe_router(describer: Metadata) -> APIRouter:  # noqa: C901  # a list of handlers, each of one line
    """Everything below `/v2` and `/v1` but predictions."""
    router = APIRouter(tags=["Open Inference Protocol"])

    @router.get("/v2", response_model=answers.Server)
    def server() -> dict[str, Any]:
        """Name, version and extensions of this server."""
        return describer.server()

    @router.get("/v2/health/live", response_model=answers.Live)
    async def live() -> dict[str, bool]:
        """Whether this replica answers."""
        return {"live": True}

    @router.get("/v2/health/ready", response_model=answers.Ready, responses={503: {"model": answers.Ready}})
    async def ready() -> JSONResponse:
        """Whether every declared route is being served as declared."""
        problems = describer.problems()
        if problems:
            return JSONResponse({"ready": False, "error": " ".join(problems.values())}, 503)
        return JSONResponse({"ready": True})

    @router.get("/v2/models", response_model=answers.Names)
    def models() -> dict[str, list[str]]:
        """The routes that are being served."""
        return {"models": describer.names()}

    @router.get("/v2/models/stats", response_model=answers.Statistics)
    def all_statistics() -> dict[str, Any]:
        """What every version behind a route has done on this machine."""
        return describer.statistics()

    @router.get("/v2/models/{route}", response_model=answers.RouteMetadata, responses=_ROUTE_ERRORS)
    def route_metadata(route: RouteName) -> dict[str, Any]:
        """Inputs, outputs and versions of a route."""
        return describer.metadata(route)

    @router.get(
        "/v2/models/{route}/versions/{version}", response_model=answers.RouteMetadata, responses=_VERSION_ERRORS
    )
    def version_metadata(route: RouteName, version: VersionName) -> dict[str, Any]:
        """The same, of one version or alias."""
        return describer.metadata(route, version)

    @router.get("/v2/models/{route}/ready", response_model=answers.NamedReady, responses=_ROUTE_ERRORS)
    def route_ready(route: RouteName) -> dict[str, Any]:
        """200 if the route is being served."""
        describer.require_ready(route)
        return {"name": route, "ready": True}

    @router.get(
        "/v2/models/{route}/versions/{version}/ready", response_model=answers.NamedReady, responses=_VERSION_ERRORS
    )
    def version_ready(route: RouteName, version: VersionName) -> dict[str, Any]:
        """200 if an arm of the route serves that version or alias."""
        describer.require_ready(route, version)
        return {"name": route, "ready": True}

    @router.get("/v2/models/{route}/config", response_model=answers.RouteConfig, responses=_ROUTE_ERRORS)
    def route_config(route: RouteName) -> dict[str, Any]:
        """A route as Triton's clients want it described."""
        return describer.config(route)

    @router.get(
        "/v2/models/{route}/versions/{version}/config", response_model=answers.RouteConfig, responses=_VERSION_ERRORS
    )
    def version_config(route: RouteName, version: VersionName) -> dict[str, Any]:
        """The same, of one version or alias."""
        return describer.config(route, version)

    @router.get("/v2/models/{route}/stats", response_model=answers.Statistics, responses=_ROUTE_ERRORS)
    def route_statistics(route: RouteName) -> dict[str, Any]:
        """What the versions behind a route have done on this machine."""
        return describer.statistics(route)

    @router.get(
        "/v2/models/{route}/versions/{version}/stats", response_model=answers.Statistics, responses=_VERSION_ERRORS
    )
    def version_statistics(route: RouteName, version: VersionName) -> dict[str, Any]:
        """The same, of one version or alias."""
        return describer.statistics(route, version)

    @router.post("/v2/repository/index", response_model=list[answers.IndexEntry])
    def index(body: Annotated[IndexBody | None, Body()] = None) -> list[dict[str, str]]:
        """Every declared route and version, with its state."""
        return describer.index(only_ready=body is not None and body.ready)

    @router.get("/v1/models", response_model=answers.Names)
    def v1_models() -> dict[str, list[str]]:
        """The routes that are being served."""
        return {"models": describer.names()}

    @router.get(
        "/v1/models/{route}",
        response_model=answers.NamedReady,
        responses={**raises(UnknownRoute), 503: {"model": answers.NamedReady | Error}},
    )
    def v1_ready(route: RouteName) -> JSONResponse:
        """Whether the route is being served."""
        try:
            describer.require_ready(route)
        except NotReady:
            return JSONResponse({"name": route, "ready": False}, 503)
        return JSONResponse({"name": route, "ready": True})

    return router
