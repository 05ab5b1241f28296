"""The handlers of V2 and V1 that describe the server and its routes: everything but predictions."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ValidationError

from gateway.access.middleware import is_stranger
from gateway.api import metadata_models as schemas
from gateway.api.error_responses import Error, raises
from gateway.api.openapi import RouteName, VersionName
from gateway.errors import BadRequest, NotReady, NotSupported
from gateway.inference.metadata import NO_LOADING, Metadata
from router.errors import UnknownRoute, UnknownVersion

_ROUTE_ERRORS = raises(UnknownRoute, NotReady)
_VERSION_ERRORS = raises(UnknownRoute, UnknownVersion, NotReady)


class IndexBody(BaseModel):
    """`{"ready": true}` leaves out the versions that are not served."""

    ready: bool = False


async def _index_body(request: Request) -> IndexBody:
    """Read the body, whatever its content type is: Triton's clients send none, and curl the one of forms.

    Raises:
        BadRequest: the body is neither empty nor such an object.
    """
    content = (await request.body()).strip()
    if content in (b"", b"null"):
        return IndexBody()
    try:
        return IndexBody.model_validate_json(content)
    except ValidationError as error:
        raise BadRequest('The body is neither empty nor of the form {"ready": true}.') from error


_INDEX_BODY: dict[str, Any] = {
    "requestBody": {"content": {"application/json": {"schema": IndexBody.model_json_schema()}}}
}


def metadata_router(metadata: Metadata) -> APIRouter:  # noqa: C901  # a list of handlers, each of one line
    """Build the router of everything below `/v2` and `/v1` but predictions."""
    router = APIRouter(tags=["Open Inference Protocol"])

    @router.get("/v2", response_model=schemas.Server)
    def server() -> dict[str, Any]:
        """Return the name, version and extensions of this server."""
        return metadata.server()

    @router.get("/v2/health/live", response_model=schemas.Live)
    async def live() -> dict[str, bool]:
        """Return 200 while this replica responds."""
        return {"live": True}

    @router.get("/v2/health/ready", response_model=schemas.Ready, responses={503: {"model": schemas.Ready}})
    async def ready(request: Request) -> JSONResponse:
        """Return 200 if every declared route is served as declared. Why it is not is only for callers with a key."""
        problems = metadata.problems()
        if problems and is_stranger(request.scope):
            return JSONResponse({"ready": False}, 503)
        if problems:
            return JSONResponse({"ready": False, "error": " ".join(problems.values())}, 503)
        return JSONResponse({"ready": True})

    @router.get("/ping", response_class=PlainTextResponse, responses=raises(NotReady))
    async def ping() -> PlainTextResponse:
        """Return 200 if every declared route is served as declared, and else 503. MLflow and SageMaker ask this."""
        if metadata.problems():
            raise NotReady("Not every declared route is served as declared; GET /v2/health/ready says why.")
        return PlainTextResponse("\n")

    @router.get("/version", response_class=PlainTextResponse)
    async def version() -> PlainTextResponse:
        """Return the version of this server as plain text, as MLflow's server does."""
        return PlainTextResponse(metadata.server()["version"])

    @router.get("/v2/models", response_model=schemas.Names)
    def models() -> dict[str, list[str]]:
        """Return the names of the routes that are served."""
        return {"models": metadata.names()}

    @router.get("/v2/models/stats", response_model=schemas.Statistics)
    def all_statistics() -> dict[str, Any]:
        """Return the statistics of every version behind a route, on this machine."""
        return metadata.statistics()

    @router.get("/v2/models/{route}", response_model=schemas.RouteMetadata, responses=_ROUTE_ERRORS)
    def route_metadata(route: RouteName) -> dict[str, Any]:
        """Return the inputs, outputs and versions of a route."""
        return metadata.metadata(route)

    @router.get(
        "/v2/models/{route}/versions/{version}", response_model=schemas.RouteMetadata, responses=_VERSION_ERRORS
    )
    def version_metadata(route: RouteName, version: VersionName) -> dict[str, Any]:
        """Return the inputs and outputs of one version or alias of a route."""
        return metadata.metadata(route, version)

    @router.get("/v2/models/{route}/ready", response_model=schemas.NamedReady, responses=_ROUTE_ERRORS)
    def route_ready(route: RouteName) -> dict[str, Any]:
        """Return 200 if the route is served."""
        metadata.require_ready(route)
        return {"name": route, "ready": True}

    @router.get(
        "/v2/models/{route}/versions/{version}/ready", response_model=schemas.NamedReady, responses=_VERSION_ERRORS
    )
    def version_ready(route: RouteName, version: VersionName) -> dict[str, Any]:
        """Return 200 if an arm of the route serves this version or alias."""
        metadata.require_ready(route, version)
        return {"name": route, "ready": True}

    @router.get("/v2/models/{route}/config", response_model=schemas.RouteConfig, responses=_ROUTE_ERRORS)
    def route_config(route: RouteName) -> dict[str, Any]:
        """Return the configuration of a route in the format of Triton's clients."""
        return metadata.config(route)

    @router.get(
        "/v2/models/{route}/versions/{version}/config", response_model=schemas.RouteConfig, responses=_VERSION_ERRORS
    )
    def version_config(route: RouteName, version: VersionName) -> dict[str, Any]:
        """Return the configuration of one version or alias in the format of Triton's clients."""
        return metadata.config(route, version)

    @router.get("/v2/models/{route}/stats", response_model=schemas.Statistics, responses=_ROUTE_ERRORS)
    def route_statistics(route: RouteName) -> dict[str, Any]:
        """Return the statistics of the versions behind a route, on this machine."""
        return metadata.statistics(route)

    @router.get(
        "/v2/models/{route}/versions/{version}/stats", response_model=schemas.Statistics, responses=_VERSION_ERRORS
    )
    def version_statistics(route: RouteName, version: VersionName) -> dict[str, Any]:
        """Return the statistics of one version or alias, on this machine."""
        return metadata.statistics(route, version)

    @router.post("/v2/repository/index", response_model=list[schemas.IndexEntry], openapi_extra=_INDEX_BODY)
    def index(body: Annotated[IndexBody, Depends(_index_body)]) -> list[dict[str, str]]:
        """Return every declared route and version with its state."""
        return metadata.index(only_ready=body.ready)

    @router.post("/v2/repository/models/{model}/load", include_in_schema=False)
    def load(model: RouteName) -> None:  # noqa: ARG001  # the path names it
        """Return 501: models come from the registry."""
        raise NotSupported(NO_LOADING)

    @router.post("/v2/repository/models/{model}/unload", include_in_schema=False)
    def unload(model: RouteName) -> None:  # noqa: ARG001  # the path names it
        """Return 501: models come from the registry."""
        raise NotSupported(NO_LOADING)

    @router.get("/v1/models", response_model=schemas.Names)
    def v1_models() -> dict[str, list[str]]:
        """Return the names of the routes that are served."""
        return {"models": metadata.names()}

    @router.get(
        "/v1/models/{route}",
        response_model=schemas.NamedReady,
        responses={**raises(UnknownRoute), 503: {"model": schemas.NamedReady | Error}},
    )
    def v1_ready(route: RouteName) -> JSONResponse:
        """Return 200 if the route is served, and 503 if it is not."""
        return _v1_readiness(metadata, route)

    @router.get("/v1/models/{route}/versions/{version}", response_model=schemas.NamedReady, responses=_VERSION_ERRORS)
    @router.get("/v1/models/{route}/labels/{version}", response_model=schemas.NamedReady, include_in_schema=False)
    def v1_version_ready(route: RouteName, version: VersionName) -> JSONResponse:
        """Return 200 if an arm of the route serves this version or alias, and 503 if the route is not served."""
        return _v1_readiness(metadata, route, version)

    return router


def _v1_readiness(metadata: Metadata, route: str, version: str | None = None) -> JSONResponse:
    try:
        metadata.require_ready(route, version)
    except NotReady:
        return JSONResponse({"name": route, "ready": False}, 503)
    return JSONResponse({"name": route, "ready": True})
