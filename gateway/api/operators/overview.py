"""What concerns all routes, over HTTP: status, the newest changes, models; what was lost is put back. Acts."""

import time

from fastapi import APIRouter

from gateway.api.openapi import raises
from gateway.api.operators.responses import AuditEntry, HeldVersion, Restored, Status
from gateway.api.operators.routes import MOST_ENTRIES
from gateway.api.operators.status_reader import StatusReader
from gateway.api.operators.views import audited
from gateway.control.desired_state import DesiredState
from registry_sync.catalogue import Catalogue
from router.errors import Rejected
from store.errors import Foreign, StoreUnavailable
from store.interface import Store


def overview_router(store: Store, catalogue: Catalogue, wanted: DesiredState, survey: StatusReader) -> APIRouter:
    """What concerns no single route."""
    router = APIRouter()

    @router.get("/status")
    def status() -> Status:
        """What is wanted, what each replica serves, and how the arms do. Answers also while the store does not."""
        return survey.take(time.time())

    @router.get("/audit", responses=raises(StoreUnavailable))
    def audit(limit: int = 20, before: int | None = None) -> list[AuditEntry]:
        """The newest changes of all routes first; `before` is the number from which on they are left out."""
        end = store.revision().number + 1
        end = end if before is None else max(1, min(before, end))
        at_once = max(1, min(limit, MOST_ENTRIES))
        found = store.changes(max(0, end - 1 - at_once), at_once)
        return [audited(each) for each in reversed(found) if each.number < end]

    @router.post("/restore", responses=raises(Rejected, Foreign, StoreUnavailable))
    def restore() -> Restored:
        """Puts what this replica serves back into a store that has lost it; what the store has is kept."""
        if not wanted.known.revision.identity:
            raise Rejected("This replica knows of no routes that could be put back.")
        return Restored(routes=sorted(wanted.restore()))

    @router.get("/models")
    def list_versions() -> list[HeldVersion]:
        """The versions that the replica which answers holds."""
        return [
            HeldVersion(
                model=version.key.model,
                version=version.key.version,
                digest=version.key.digest,
                state=version.state.value,
                reason=version.reason,
            )
            for version in catalogue.versions()
        ]

    return router
