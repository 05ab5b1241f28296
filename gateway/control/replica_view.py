"""What one replica knows and serves, for the parts that only read it."""

from collections.abc import Mapping
from typing import Protocol

from gateway.control.desired_state import DesiredState
from gateway.inference.live_table import LiveTableHolder
from registry_sync.version import VersionKey
from router.document.document import Candidate, Document
from runtimes.manifest import Manifest
from store.report import Report
from store.revision import Revision


class Reporter(Protocol):
    """What the view needs of the reconciler."""

    store_contact_s: float
    """When the store last answered, by the monotonic clock."""

    def report(self) -> Report:
        """Return the report of this replica."""


class ReplicaView:
    """A read-only view of the desired state, the live table and the reconciler. Any thread may read it."""

    def __init__(self, desired: DesiredState, holder: LiveTableHolder, reconciler: Reporter) -> None:
        self._desired = desired
        self._holder = holder
        self._reconciler = reconciler

    @property
    def trouble(self) -> str:
        """Why the store is not believed and must not be changed, or empty."""
        return self._desired.trouble

    @property
    def documents(self) -> Mapping[str, Document]:
        """The newest documents, by route."""
        return self._desired.documents

    def documents_at(self, revision: Revision) -> Mapping[str, Document] | None:
        """Return the newest documents, by route, if they are those of this revision of the store."""
        return self._desired.documents if self._desired.known.revision == revision else None

    @property
    def store_contact_s(self) -> float:
        """When the store last answered, by the monotonic clock."""
        return self._reconciler.store_contact_s

    @property
    def revision(self) -> int:
        """The store's revision from which the live table was built."""
        return self._holder.current.revision

    def candidates(self, route: str) -> Mapping[str, Candidate] | None:
        """Return the version that serves each arm of a route now; None if the route is not served here."""
        return self._holder.candidates(route)

    def report(self) -> Report:
        """Return the report of this replica."""
        return self._reconciler.report()

    def answering(self) -> Mapping[VersionKey, Manifest]:
        """Return the versions of models that answer for the arms of all routes, wherever they are placed."""
        arms = (arm for route in self._holder.current.routes.values() for arm in route.arms)
        return {arm.lane.key.version: arm.manifest for arm in arms if arm.manifest.runtime != "constant"}
