"""Builds the router of everything below `/api` from its groups: documents, commands, overviews, webhooks.

The handlers block and therefore run in FastAPI's thread pool, never on the event loop of the request path. Every change
of a document goes through `gateway.control.changes`.
"""

from fastapi import APIRouter

from gateway.api.operators.commands import command_router
from gateway.api.operators.overview import overview_router
from gateway.api.operators.routes import route_router
from gateway.api.operators.status_reader import StatusReader
from gateway.api.operators.versions import VersionReader
from gateway.api.operators.webhook import Webhook, webhook_router
from gateway.control.changes import Changes
from gateway.control.desired_state import DesiredState
from gateway.control.replica_view import ReplicaView
from gateway.execution.trial import Trials
from registry_sync.catalogue import Catalogue
from store.interface import Store


def operate_router(
    *,
    store: Store,
    catalogue: Catalogue,
    changes: Changes,
    desired: DesiredState,
    view: ReplicaView,
    trials: Trials,
    webhook: Webhook | None = None,
) -> APIRouter:
    """Build the router of everything below `/api`. Without `webhook`, those of a registry are refused."""
    status_reader = StatusReader(store=store, catalogue=catalogue, view=view)
    router = APIRouter(prefix="/api", tags=["Operate"])
    router.include_router(route_router(store, changes))
    router.include_router(command_router(changes, catalogue, view))
    router.include_router(overview_router(store, VersionReader(catalogue, trials, view), desired, status_reader))
    router.include_router(webhook_router(webhook or Webhook()))
    return router
