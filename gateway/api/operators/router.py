"""Builds the router of everything below `/api` from its three groups: documents, commands, overviews.

The handlers block and therefore run in FastAPI's thread pool, never on the event loop of the request path. Every change
of a document goes through `gateway.control.changes`.
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
    *,
    store: Store,
    catalogue: Catalogue,
    changes: Changes,
    wanted: DesiredState,
    own_report: Callable[[], Report],
    last_contact_s: Callable[[], float],
) -> APIRouter:
    """Build the router of everything below `/api`.

    `own_report` returns the report that this replica writes to the store. `last_contact_s` returns when the store last
    answered, by the monotonic clock.
    """
    status_reader = StatusReader(
        store=store, changes=changes, wanted=wanted, own_report=own_report, last_contact_s=last_contact_s
    )
    router = APIRouter(prefix="/api", tags=["Operate"])
    router.include_router(route_router(store, changes))
    router.include_router(command_router(changes, catalogue))
    router.include_router(overview_router(store, catalogue, wanted, status_reader))
    return router
