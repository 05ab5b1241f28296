"""Notes every change of every document in the log, automatic ones included. Acts.

The store knows how far the log has got; each replica looks, and one that finds changes which are not in the log yet
notes them and moves the mark. A replica notes its own changes at once and leaves those of others alone for as long
as their makers need. Where two note the same change, or one dies before it moves the mark, the change is in the log
twice and shown once.
"""

import json
from itertools import takewhile

import structlog

from inference_log.record import Audit
from inference_log.writer import LogWriter
from router.document.document import to_dict
from router.draw.assignment import BUCKETS
from store.errors import StoreUnavailable
from store.interface import Change, NumberedEntry, Store

_log = structlog.get_logger()

_AT_ONCE = 100


class AuditTrail:
    """One per replica. `failures` is how often the store or the disk could not do its part."""

    def __init__(self, store: Store, writer: LogWriter, replica: str, patience_s: float = 5.0) -> None:
        self.failures = 0
        self._store = store
        self._writer = writer
        self._replica = replica
        self._patience_s = patience_s
        self._audited = -1
        self._answers = True

    def tick(self, now_s: float) -> None:
        """Notes what is to be noted now (seconds since the epoch); never raises what the store may raise."""
        try:
            self._look(now_s)
            self._answers = True
        except StoreUnavailable as error:
            self.failures += 1
            if self._answers:  # said once, not at every tick until it is back
                _log.warning("gateway.audit.store_failed", error=str(error))
            self._answers = False

    def _look(self, now_s: float) -> None:
        number = self._store.revision().number
        if number == self._audited:
            return
        before = self._audited = self._store.audited()
        if number == before:
            return
        changes = self._store.changes(before, _AT_ONCE)
        after = before
        for numbered in takewhile(lambda each: self._is_due(each.entry.change, now_s), changes):
            if not self._writer.note(_audit(numbered)):
                self.failures += 1
                break
            after = numbered.number
        if after != before and self._store.advance_audited(before, after):
            self._audited = after

    def _is_due(self, change: Change, now_s: float) -> bool:
        return change.by == self._replica or change.at_s <= now_s - self._patience_s


def _audit(numbered: NumberedEntry) -> Audit:
    document, change = numbered.entry.document, numbered.entry.change
    return Audit(
        number=numbered.number,
        route=document.spec.route,
        version=document.version,
        at_us=round(change.at_s * 1_000_000),
        who=change.who,
        what=change.what,
        why=change.why,
        by=change.by,
        phase="" if document.rollout is None else document.rollout.phase.value,
        weights={arm: slots / BUCKETS for arm, slots in document.weights.items()},
        document=json.dumps(to_dict(document)),
    )
