"""What operators ask over HTTP: everything below `/api`, in three groups. Puts them together.

The handlers block and therefore run in FastAPI's thread pool, never on the request path. Whatever changes a document
goes through `gateway.control.changes`.
"""

from collections.abc import Callable

from fastapi import APIRouter

from gateway.api.operators.commands import command_router
from gateway.api.operators.overview import overview_router
from gateway.api.operators.routes import route_router
from gateway.api.operators.status_reader import StatusReader
from gateway.control.changes import Changes
from gateway.control.desired_state import DesiredState
from registry_sync.catalogue import Catalogue
from store.interface import Report, Store


def operate_router(
    store: Store,
    catalogue: Catalogue,
    changes: Changes,
    wanted: DesiredState,
    own_report: Callable[[], Report],
    heard_s: Callable[[], float],
) -> APIRouter:
    """Everything below `/api`.

    `own_report` is what this replica would tell the store; `heard_s`, when the store last answered, by the monotonic
    clock.
    """
    router = APIRouter(prefix="/api", tags=["Operate"])
    router.include_router(route_router(store, changes))
    router.include_router(command_router(changes, catalogue))
    survey = StatusReader(store, changes, wanted, own_report, heard_s)
    router.include_router(overview_router(store, catalogue, wanted, survey))
    return router
