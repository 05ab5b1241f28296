"""Every change gets into the log, whichever replica made it or dies; two replicas rarely write the same one."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.control.audit import AuditTrail
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.record import Audit
from inference_log.segment import read_segment
from inference_log.spool import segments, take_seat
from inference_log.writer import LogWriter
from router.document.document import Document, RolloutState
from router.document.phase import Phase
from router.document.stored import from_dict
from router.draw.slots import allocate
from router.spec.parse import parse_spec
from store.entry import Change, Entry, NumberedEntry
from store.errors import StoreUnavailable
from store.revision import Revision
from store.sqlite.store import SQLiteStore

NOW_S = 1_767_268_800.0
SPEC = parse_spec({"route": "fraud", "arms": {"a": "m:1", "b": "m:2"}, "split": {"a": "75%", "b": "25%"}})


class Changes:
    """The part of a store that is about changes. Each call can be made to fail, before or after it is done."""

    def __init__(self) -> None:
        self.made: list[NumberedEntry] = []
        self.mark = 0
        self.asked: list[str] = []
        self.fails: set[str] = set()
        self.loses_the_reply_of: set[str] = set()

    def make(self, by: str, at_s: float = NOW_S, why: str = "") -> None:
        """Add a version of the route."""
        number = len(self.made) + 1
        document = Document(version=number, spec=SPEC, slots=allocate({"a": 7500, "b": 2500}))
        self.made.append(NumberedEntry(number, Entry(document, Change("ann", at_s, "declare", why, f"id{number}", by))))

    def revision(self) -> Revision:
        """See `Store.revision`."""
        return self._do("revision", lambda: Revision("s", len(self.made)))

    def audited(self) -> int:
        """See `Store.audited`."""
        return self._do("audited", lambda: self.mark)

    def changes(self, after: int, limit: int) -> Sequence[NumberedEntry]:
        """See `Store.changes`."""
        return self._do("changes", lambda: [each for each in self.made if each.number > after][:limit])

    def advance_audited(self, before: int, after: int) -> bool:
        """See `Store.advance_audited`."""
        return self._do("advance_audited", lambda: self._advance(before, after))

    def _advance(self, before: int, after: int) -> bool:
        if self.mark != before:
            return False
        self.mark = after
        return True

    def _do(self, name: str, work: Callable[[], Any]) -> Any:
        self.asked.append(name)
        if name in self.fails:
            raise StoreUnavailable("The store does not answer.")
        done = work()
        if name in self.loses_the_reply_of:
            raise StoreUnavailable("The store does not answer.")
        return done


@pytest.fixture
def store() -> Changes:
    return Changes()


@pytest.fixture
def trail(tmp_path, store) -> AuditTrail:
    return AuditTrail(store, LogWriter(tmp_path, "w"), "host0")


def noted(folder: Path) -> list[Audit]:
    """Return the changes in the segments of a folder."""
    read = [read_segment(path.read_bytes()) for path in segments(folder)]
    return [audit for segment in read if segment is not None for audit in segment.audits]


def numbers(folder: Path) -> list[int]:
    return [audit.number for audit in noted(folder)]


def test_a_change_is_noted_with_all_that_is_known_of_it(trail, store, tmp_path):
    store.make("host0-3", at_s=NOW_S + 0.25, why="because")
    (made,) = store.made
    document = replace(made.entry.document, rollout=RolloutState(phase=Phase.PAUSED))
    store.made = [made._replace(entry=replace(made.entry, document=document))]
    trail.tick(NOW_S)
    (audit,) = noted(tmp_path)
    assert audit == Audit(
        number=1,
        route="fraud",
        version=1,
        at_us=1_767_268_800_250_000,
        who="ann",
        what="declare",
        why="because",
        by="host0-3",
        phase="PAUSED",
        weights={"a": 0.75, "b": 0.25},
        document=audit.document,
    )
    assert json.loads(audit.document)["slots"] == {"a": [[0, 7500]], "b": [[7500, 2500]]}


def test_the_document_that_is_noted_can_be_read_back(trail, store, tmp_path):
    store.make("host0-3")
    trail.tick(NOW_S)
    assert from_dict(json.loads(noted(tmp_path)[0].document)) == store.made[0].entry.document


def test_own_changes_are_noted_at_once_and_those_of_others_after_a_while(trail, store, tmp_path):
    store.make("host0-3")
    store.make("host1-companion")
    store.make("host0-3")  # it waits behind the other machine's: the mark covers all changes before it
    trail.tick(NOW_S + 4.9)
    assert (numbers(tmp_path), store.mark) == ([1], 1)
    trail.tick(NOW_S + 5)
    assert (numbers(tmp_path), store.mark) == ([1, 2, 3], 3)


def test_what_another_machine_has_noted_is_left_alone(trail, store, tmp_path):
    store.make("host1-companion")
    trail.tick(NOW_S)
    store.mark = 1
    trail.tick(NOW_S + 60)
    assert noted(tmp_path) == []


def test_where_nothing_has_changed_only_the_revision_is_asked_for(trail, store):
    store.make("host0-3")
    trail.tick(NOW_S)
    store.asked.clear()
    trail.tick(NOW_S)
    assert store.asked == ["revision"]


def test_a_new_replica_finds_the_mark_where_it_is(tmp_path, store):
    store.make("host0-3")
    store.mark = 1
    trail = AuditTrail(store, LogWriter(tmp_path, "w"), "host0")
    trail.tick(NOW_S)
    trail.tick(NOW_S)
    assert store.asked == ["revision", "audited", "revision"]
    assert noted(tmp_path) == []


def test_more_changes_than_are_read_at_once_are_noted_one_look_after_the_other(trail, store, tmp_path):
    for _ in range(250):
        store.make("host0-3")
    for _ in range(3):
        trail.tick(NOW_S)
    assert (numbers(tmp_path), store.mark) == (list(range(1, 251)), 250)


@pytest.mark.parametrize("verb", ["revision", "audited", "changes", "advance_audited"])
@pytest.mark.parametrize("applied", [False, True])
def test_while_the_store_is_gone_nothing_is_lost(trail, store, tmp_path, verb, applied):
    store.make("host0-3")
    broken = store.loses_the_reply_of if applied else store.fails
    broken.add(verb)
    trail.tick(NOW_S)
    assert trail.failures == 1
    broken.clear()
    trail.tick(NOW_S)
    assert set(numbers(tmp_path)) == {1}
    assert (store.mark, trail.failures) == (1, 1)


def test_a_change_that_the_disk_does_not_take_is_not_said_to_be_in_the_log(tmp_path, store):
    trail = AuditTrail(store, LogWriter(tmp_path / "gone", "w"), "host0")
    store.make("host0-3")
    trail.tick(NOW_S)
    assert (store.mark, trail.failures) == (0, 1)
    (tmp_path / "gone").mkdir()
    trail.tick(NOW_S)
    assert (numbers(tmp_path / "gone"), store.mark) == ([1], 1)


def test_two_replicas_over_sqlite_show_each_change_once_whoever_dies(tmp_path):
    store = SQLiteStore(tmp_path / "control.db")
    seats = [take_seat(tmp_path / "spool") for _ in range(2)]
    writers = [LogWriter(seat.folder, f"w{index}") for index, seat in enumerate(seats)]
    versions = itertools.count(1)

    def change(by: str, at_s: float) -> None:
        version = next(versions)
        document = Document(version=version, spec=SPEC, slots=allocate({"a": 7500, "b": 2500}))
        store.compare_and_set([Entry(document, Change("ann", at_s, "declare", "", f"id{version}", by))])

    for round_s in range(6):
        change("host0-3", NOW_S + round_s)
        change("host1-companion", NOW_S + round_s)
        # New objects each time, as after a restart; the first replica dies before it can move the mark.
        AuditTrail(_WithoutMark(store), writers[0], "host0", patience_s=1.0).tick(NOW_S + round_s)
        AuditTrail(store, writers[1], "host1", patience_s=1.0).tick(NOW_S + round_s)
    AuditTrail(store, writers[1], "host1").tick(NOW_S + 60)
    log, spool = tmp_path / "log", tmp_path / "spool"
    assert sum(len(numbers(seat.folder)) for seat in seats) > 12  # some changes are there twice
    assert run_query(DirectoryFiles(log), spool, "SELECT version FROM audit ORDER BY version")[1] == [
        (n,) for n in range(1, 13)
    ]
    assert store.audited() == store.revision().number == 12
    for seat in seats:
        seat.release()
    store.close()


class _WithoutMark:
    """A store through which the mark is never moved."""

    def __init__(self, store: SQLiteStore) -> None:
        self.revision, self.audited, self.changes = store.revision, store.audited, store.changes

    def advance_audited(self, before: int, after: int) -> bool:
        """See `Store.advance_audited`."""
        raise StoreUnavailable(f"Killed before the mark moved from {before} to {after}.")
