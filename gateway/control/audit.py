"""Writes every change of every document into the log, automatic changes included.

The store holds a mark: the number of the last change that is in the log. On every machine the mark is compared with the
store's revision. A machine that finds changes after the mark writes them and moves the mark. It writes its own changes
at once. It leaves those of other machines alone for a few seconds, so that their makers can write them. If two machines
write the same change, or one dies before it moves the mark, the change is in the log twice and is shown once.
"""

import json
from collections.abc import Callable
from itertools import takewhile

from gateway.control.report import host_of
from gateway.telemetry.periodic import LogOnce
from inference_log.record import Audit
from inference_log.segment_lock import sync_segment
from inference_log.writer import LogWriter
from router.document.stored import to_dict
from router.draw.assignment import BUCKETS
from store.entry import Change, NumberedEntry
from store.errors import StoreUnavailable
from store.interface import Store

_CHANGES_PER_TICK = 100


class AuditTrail:
    """One per machine, whose `host` name its replicas' names begin with. `failures` counts failed stores and disks.

    `newest` returns the number of the newest change that this machine knows of; without it, the store is asked.
    """

    def __init__(
        self,
        store: Store,
        writer: LogWriter,
        host: str,
        patience_s: float = 5.0,
        newest: Callable[[], int] | None = None,
    ) -> None:
        self.failures = 0
        self._store = store
        self._writer = writer
        self._host = host
        self._patience_s = patience_s
        self._newest = newest or (lambda: self._store.revision().number)
        self._audited = -1
        self._outage = LogOnce("gateway.audit.store_failed")

    def tick(self, now_s: float) -> None:
        """Write the changes that are due at `now_s`, in seconds since the epoch. Never raise a store or disk error."""
        try:
            self._write_due(now_s)
            self._outage.note("")
        except (StoreUnavailable, OSError) as error:
            self.failures += 1
            self._outage.note(str(error))

    def _write_due(self, now_s: float) -> None:
        number = self._newest()
        if number == self._audited:
            return
        before = self._audited = self._store.audited()
        if number == before:
            return
        changes = self._store.changes(before, _CHANGES_PER_TICK)
        after = before
        for numbered in takewhile(lambda each: self._is_due(each.entry.change, now_s), changes):
            if not self._writer.note(_audit(numbered)):
                self.failures += 1
                break
            after = numbered.number
        if after != before:
            self._sync()
            if self._store.advance_audited(before, after):
                self._audited = after

    def _sync(self) -> None:
        """Sync the segment: once the mark has moved, nothing writes these changes again."""
        path = self._writer.active_path
        if path is not None:
            sync_segment(path)

    def _is_due(self, change: Change, now_s: float) -> bool:
        return host_of(change.by) == self._host or change.at_s <= now_s - self._patience_s


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
        phase="" if document.phase is None else document.phase.value,
        weights={arm: slots / BUCKETS for arm, slots in document.weights.items()},
        document=json.dumps(to_dict(document)),
    )
