"""Keeps the machine's copy of a remote registry, in a thread of the companion."""

import threading
import time
from collections.abc import Mapping

from gateway.companion.node_view import NodeView
from gateway.execution.trial import Trials
from gateway.settings import Settings
from gateway.telemetry.metric_table import (
    REGISTRY_COPIED,
    REGISTRY_COPY_BYTES,
    REGISTRY_GONE,
    REGISTRY_REACHABLE,
    REGISTRY_STALE,
)
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every
from registry_sync.copy import copy_folder, remove_other_copies
from registry_sync.copy.copier import Adopt, no_adoption
from registry_sync.copy.due import VersionName
from registry_sync.copy.sync import Sync
from registry_sync.open import open_remote
from router.compile import declared_references, references
from router.document.document import Document
from router.spec.spec import ArmRef

_POLL_S = 0.05
"""How often the files are looked for that ask for something. It costs three calls of stat(2)."""


class RegistryCopy:
    """`run` is the thread; `publish` is called by another one."""

    def __init__(self, sync: Sync, view: NodeView) -> None:
        self._sync = sync
        self._view = view
        self._began_s = time.monotonic()
        self._outage = LogOnce("gateway.registry.unreachable", "gateway.registry.reachable")
        self._said: dict[VersionName, LogOnce] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        run_every(stop, _POLL_S, PeriodicJob(self.look, "gateway.registry.not_copied"))

    def look(self) -> None:
        """Do what is due.

        Raises:
            OSError: the disk does not allow it.
        """
        now_s = time.monotonic()
        if not self._sync.is_due(now_s):
            return
        may_evict = self._view.knows_documents  # before they are read: another thread may learn of them meanwhile
        self._sync.tick(document_refs(self._view.documents), now_s, may_evict=may_evict)
        self._outage.note(self._sync.trouble)
        troubles = self._sync.troubles
        self._said = {name: self._said.get(name) or LogOnce("gateway.registry.version_not_copied") for name in troubles}
        for name, trouble in troubles.items():
            self._said[name].note(trouble)

    def publish(self, metrics: Metrics) -> None:
        """Set the metrics."""
        figures = self._sync.figures
        metrics.set_gauge(REGISTRY_REACHABLE, ((), float(figures.is_reachable)))
        metrics.set_gauge(REGISTRY_STALE, ((), time.monotonic() - max(figures.good_s, self._began_s)))
        metrics.set_gauge(REGISTRY_COPY_BYTES, ((), figures.copy_bytes))
        metrics.set_gauge(REGISTRY_GONE, ((), figures.gone_versions))
        metrics.set_total(REGISTRY_COPIED, figures.copied, "copied")
        metrics.set_total(REGISTRY_COPIED, figures.failed, "failed")


def open_sync(settings: Settings, trials: Trials, adopt: Adopt = no_adoption) -> Sync:
    """Return what keeps the copy. `adopt` makes the manifest of a version that has none.

    Raises:
        RegistryUnavailable: there are no registries of the kind that the setting names.
    """
    root = copy_folder(settings.home, settings.registry)
    remove_other_copies(root)
    return Sync(
        root,
        open_remote(settings.registry),
        adopt=adopt,
        has_passed=trials.has_passed,
        every_s=settings.registry_every_s,
        max_bytes=settings.registry_copy_max_bytes,
    )


def document_refs(documents: Mapping[str, Document]) -> frozenset[ArmRef]:
    """Return every version that documents name: what they serve now, what they follow, what they may go back to."""
    return frozenset(ref for document in documents.values() for ref in _refs(document) if ref.value is None)


def _refs(document: Document) -> set[ArmRef]:
    declared, followed = declared_references(document), document.followed
    before = {name: each.before for name, each in followed.items() if each.before is not None and name in declared}
    return {
        *document.spec.arms.values(),
        *declared.values(),
        *references(document).values(),
        *(ArmRef(declared[name].model, version=each.version) for name, each in before.items()),
    }
