"""The handlers that concern all routes: status, replicas, the newest changes, models, and restore."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import RootModel, WithJsonSchema

from gateway.api.error_responses import raises
from gateway.api.openapi import NAME
from gateway.api.operators.as_json import as_json
from gateway.api.operators.responses import AuditEntry, ReplicaStatus, Restored, Status
from gateway.api.operators.routes import MOST_ENTRIES
from gateway.api.operators.status_reader import StatusReader
from gateway.api.operators.strict_json import StrictRoute
from gateway.api.operators.version_responses import HeldVersion
from gateway.api.operators.versions import VersionReader
from gateway.api.operators.views import audit_view
from gateway.control.desired_state import DesiredState
from router.errors import Rejected
from store.errors import Foreign, StoreUnavailable
from store.interface import Store

_MOST_NAMED = 100
"""The largest number of routes that a request may ask for by name. All of them fit into the headers' limit."""
OnlyRoutes = Annotated[
    tuple[Annotated[str, WithJsonSchema({"type": "string", "pattern": NAME})], ...], Query(max_length=_MOST_NAMED)
]
_Replicas = RootModel[list[ReplicaStatus]]
_Versions = RootModel[list[HeldVersion]]


def overview_router(
    store: Store, versions: VersionReader, desired: DesiredState, status_reader: StatusReader
) -> APIRouter:
    """Build the router of what concerns all routes."""
    router = APIRouter(route_class=StrictRoute)

    @router.get("/status", response_model=Status)
    def status(route: OnlyRoutes = ()) -> Response:
        """Return the declared routes, what each replica serves, and the results of the arms.

        With `route`, which may be repeated, only of these routes. While the store does not answer, the
        response contains what this replica knows.
        """
        return as_json(status_reader.read(time.time(), route))

    @router.get("/replicas", response_model=list[ReplicaStatus])
    def list_replicas(route: OnlyRoutes = ()) -> Response:
        """Return the last report of each replica, as in `replicas` of `GET /api/status`.

        With `route`, which may be repeated, the response tells of these routes only what each replica
        serves and lacks. While the store does not answer, the list contains only the replica that responds.
        """
        return as_json(_Replicas(status_reader.read_replicas(time.time(), route)))

    @router.get("/audit", responses=raises(StoreUnavailable))
    def audit(limit: int = 20, before: int | None = None) -> list[AuditEntry]:
        """Return the changes of all routes, the newest first. `before` leaves out the change of that number and later.

        Changes that cannot be read are left out.
        """
        end = store.revision().number + 1
        end = end if before is None else max(1, min(before, end))
        count = max(1, min(limit, MOST_ENTRIES))
        found = store.changes(max(0, end - 1 - count), count)
        return [audit_view(each) for each in reversed(found) if each.number < end]

    @router.post("/restore", responses=raises(Rejected, Foreign, StoreUnavailable))
    def restore() -> Restored:
        """Write what this replica serves back into a store that has lost it. What the store has is kept."""
        if not desired.known.revision.identity:
            raise Rejected("This replica knows of no routes that could be put back.")
        return Restored(routes=sorted(desired.restore()))

    @router.get("/models", response_model=list[HeldVersion])
    def list_versions() -> Response:
        """Return the model versions that the responding replica holds or waits for, and what its machine has tried."""
        return as_json(_Versions(versions.read(time.time())))

    return router
