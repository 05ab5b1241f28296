"""The protocol's read side: server, health, metadata and readiness. Decides from the live table alone."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from gateway.live import LiveHolder, LiveRoute, find_route
from gateway.protocols.v2_http import metadata
from router.plan import find_version

SERVER_NAME, SERVER_VERSION = "pointsman", "0.1.0"


def describe_router(holder: LiveHolder) -> APIRouter:
    """GET below `/v2`."""
    router = APIRouter(tags=["Open Inference Protocol"])

    @router.get("/v2")
    async def server() -> dict[str, Any]:
        """Name, version and extensions of this server."""
        return {"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": ["parameters"]}

    @router.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Whether this replica answers."""
        return {"live": True}

    @router.get("/v2/health/ready")
    async def ready() -> JSONResponse:
        """Whether every declared route is being served as declared."""
        problems = holder.current.problems
        if problems:
            return JSONResponse({"ready": False, "error": " ".join(problems.values())}, 503)
        return JSONResponse({"ready": True})

    @router.get("/v2/models/{route}")
    async def route_metadata(route: str) -> dict[str, Any]:
        """Inputs, outputs and versions of a route."""
        return _metadata(find_route(holder.current, route), None)

    @router.get("/v2/models/{route}/versions/{version}")
    async def version_metadata(route: str, version: str) -> dict[str, Any]:
        """The same, of one version or alias."""
        return _metadata(find_route(holder.current, route), version)

    @router.get("/v2/models/{route}/ready")
    async def route_ready(route: str) -> dict[str, Any]:
        """200 if the route is being served."""
        return {"name": find_route(holder.current, route).route.name, "ready": True}

    @router.get("/v2/models/{route}/versions/{version}/ready")
    async def version_ready(route: str, version: str) -> dict[str, Any]:
        """200 if an arm of the route serves that version or alias."""
        find_version(find_route(holder.current, route).route, version)
        return {"name": route, "ready": True}

    return router


def _metadata(live: LiveRoute, version: str | None) -> dict[str, Any]:
    arms = live.route.arms if version is None else (find_version(live.route, version),)
    versions = list(dict.fromkeys(arm.version for arm in arms))
    return metadata(live.route.name, versions, "pointsman_route", live.signature)
