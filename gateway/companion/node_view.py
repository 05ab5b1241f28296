"""What the companion knows of the store's documents and of what the replicas of its machine serve."""

from collections.abc import Mapping
from pathlib import Path

from gateway.control.desired_state import DesiredState
from gateway.control.last_known import LastKnownFile, StoreState
from gateway.control.learned_file import LearnedFile
from gateway.control.served_file import ServedFiles
from gateway.telemetry.periodic import LogOnce
from inference_log.process_lock import is_held
from inference_log.spool import seat_locks
from router.document.document import Candidate, Document
from router.document.learned import LearnedPolicy
from router.errors import RouterError
from store.errors import StoreUnavailable
from store.interface import Store


class NodeView:
    """See `gateway.control.view.View`. One thread calls `refresh` before it reads the rest.

    The store is believed as the replicas believe it, by the file that they keep.
    """

    def __init__(self, store: Store, last_known: LastKnownFile, spool: Path) -> None:
        self._store = store
        self._last_known = last_known
        self._spool = spool
        self._files = ServedFiles()
        self._served: Mapping[str, Mapping[str, Candidate]] = {}
        self._desired = self._open()
        self._outage = LogOnce("gateway.companion.store_failed")

    @property
    def trouble(self) -> str:
        """See `View.trouble`."""
        return self._desired.trouble

    @property
    def documents(self) -> Mapping[str, Document]:
        """See `View.documents`."""
        return self._desired.documents

    @property
    def policies(self) -> Mapping[str, LearnedPolicy]:
        """The newest policies that bandits have learned, by route; none until the store has told them."""
        return self._desired.policies or {}

    @property
    def state(self) -> StoreState:
        """The last state of the store that was believed: another object whenever something is new."""
        return self._desired.known

    @property
    def knows_documents(self) -> bool:
        """True if `documents` are all that there are, as far as this machine can know."""
        return self._desired.was_read or bool(self._desired.known.entries)

    @property
    def newest(self) -> int:
        """The number of the newest change that the store has told of."""
        return self._desired.marks.revision.number

    @property
    def serves(self) -> bool:
        """True if a replica of this machine serves a route."""
        return bool(self._served)

    def candidates(self, route: str) -> Mapping[str, Candidate] | None:
        """See `View.candidates`."""
        return self._served.get(route)

    def refresh(self) -> None:
        """Read the store, and what the replicas serve. Never raise an error of the store."""
        if self._desired.trouble:
            self._desired = self._open()  # the replicas may believe another store by now
        try:
            self._desired.look()
        except (StoreUnavailable, RouterError) as error:
            self._outage.note(str(error))
        else:
            self._outage.note("")
        self._served = self._files.read(path.parent for path in seat_locks(self._spool) if is_held(path))

    def keep_policies(self, file: LearnedFile) -> None:
        """Write what bandits have learned into a file, if it may be written again and the store is believed."""
        policies = self._desired.policies if file.is_due() and not self._desired.trouble else None
        if policies is not None:
            file.keep(self._desired.known.revision.identity, policies)

    def _open(self) -> DesiredState:
        return DesiredState(self._store, self._last_known, may_adopt=False)
