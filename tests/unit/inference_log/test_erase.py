"""A unit is erased from Parquet, segments that were set aside, bodies and rewards, and from nothing else."""

import zlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from inference_log.compaction.day import compact_day
from inference_log.erase import erase as erase_module
from inference_log.erase.erase import Erasure, erase_unit
from inference_log.errors import LogUnavailable
from inference_log.file_names import part_key
from inference_log.files.directory import DirectoryFiles
from inference_log.frozen_log import frozen_log
from inference_log.local_converter import LocalConverter
from inference_log.payload import Body, Payload
from inference_log.query import run_query
from inference_log.record import Reward, RewardContext, SegmentHeader
from inference_log.schema import INFERENCES
from inference_log.segment import SUFFIX, frame, read_segment
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import DEAD_LETTER
from router.rewards.events import Operation
from tests.unit.inference_log.conftest import NOON_US

UNIT, OTHER = "a" * 32, "b" * 32


class Kept:
    """A log with its spool, in which requests alternate between two units."""

    def __init__(self, folder: Path, make_context, make_record) -> None:
        self.log, self.spool = folder / "log", folder / "spool"
        (self.spool / "0").mkdir(parents=True)
        self.files = DirectoryFiles(self.log)
        self._context, self._record = make_context, make_record

    def segment(self, folder: str, name: str, first: int, units: tuple[str, ...] = (UNIT, OTHER), **context) -> Path:
        """Write a segment with a request, a body and a reward for each unit."""
        made = self._context(**context)
        entries = [SegmentHeader(name, 0), made, RewardContext(9, made.route, 0, 3, "stable", "2", ())]
        for seq, unit in enumerate(units, first):
            entries.append(self._record(0, seq, unit_hash=unit))
            entries.append(Payload(made.route, f"d{seq}", NOON_US + seq, "v2", 200, Body(b"in", 2), Body(b"out", 3)))
            entries.append(
                Reward(
                    9, 100 + seq, f"d{seq}", NOON_US, 1, 0.9, 1, "click", "", Operation.SET, NOON_US, 1.0, NOON_US + 9,
                    is_late=False, source="http",
                )
            )  # fmt: skip
        path = self.spool / folder / f"{name}-00000000{SUFFIX}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(map(frame, entries)))
        return path

    def ship(self) -> None:
        """Turn all segments into Parquet."""
        Shipper(self.spool, LocalConverter(DirectorySink(self.log))).tick()

    def erase(self, unit: str = UNIT, route: str | None = None) -> Erasure:
        return erase_unit(self.files, self.spool, unit, route, lambda _: None)

    def decisions(self, table: str) -> list[tuple[str, str]]:
        """Return route and decision of each row of a table."""
        return run_query(DirectoryFiles(self.log), self.spool, f"SELECT route, decision_id FROM {table} ORDER BY ALL")[
            1
        ]


@pytest.fixture
def kept(tmp_path, make_context, make_record) -> Kept:
    return Kept(tmp_path, make_context, make_record)


def test_only_the_units_rows_are_gone_from_every_table(kept):
    kept.segment("0", "w", 0)
    kept.segment("0", "v", 2, route="other")
    kept.ship()
    before = {path.name for path in kept.log.rglob("*.parquet")}
    done = kept.erase()
    assert done.is_complete
    assert done.removed == {"payloads": 2, "rewards": 2, "inferences": 2, "dead-letter": 0}
    for table in ("inferences", "payloads", "rewards"):
        assert kept.decisions(table) == [("cancer", "d1"), ("other", "d3")]
    after = {path.name for path in kept.log.rglob("*.parquet")}
    assert before & after == set()
    for each in done.rewritten["inferences"]:
        assert (each.rows, each.removed) == (2, 1)
        assert pq.read_metadata(kept.log / each.new_key).num_rows == 1
        assert each.new_key.startswith(each.key[: -len("-12345678.parquet")])
    assert not any(UNIT.encode() in path.read_bytes() for path in kept.log.rglob("*.parquet"))


def test_one_route_is_erased_and_the_others_are_not(kept):
    kept.segment("0", "w", 0)
    kept.segment("0", "v", 2, route="other")
    kept.ship()
    assert kept.erase(route="other").decisions == 1
    assert kept.decisions("inferences") == [("cancer", "d0"), ("cancer", "d1"), ("other", "d3")]
    assert kept.decisions("payloads") == [("cancer", "d0"), ("cancer", "d1"), ("other", "d3")]


def test_a_file_of_nothing_else_is_removed(kept):
    kept.segment("0", "w", 0, (UNIT, UNIT))
    kept.ship()
    done = kept.erase()
    assert [(each.new_key, each.rows, each.removed) for each in done.rewritten["inferences"]] == [("", 2, 2)]
    assert list(kept.log.rglob("*.parquet")) == []


def test_a_second_run_changes_nothing(kept):
    kept.segment("0", "w", 0)
    kept.ship()
    kept.erase()
    files = {path: path.read_bytes() for path in kept.log.rglob("*.parquet")}
    again = kept.erase()
    assert (again.decisions, again.rewritten, again.is_complete) == (0, {}, True)
    assert {path: path.read_bytes() for path in kept.log.rglob("*.parquet")} == files


def test_what_waits_is_counted_and_erased_once_it_is_parquet(kept):
    kept.segment("0", "w", 0)
    content = (kept.spool / "0" / f"w-00000000{SUFFIX}").read_bytes()
    waiting = kept.erase()
    assert (waiting.waiting, waiting.is_complete, waiting.rewritten) == (3, False, {})
    kept.ship()
    (kept.spool / "0" / f"w-00000000{SUFFIX}").write_bytes(content)  # stored and not deleted yet
    stored = kept.erase()
    assert (stored.waiting, stored.rewritten) == (6, {})
    kept.ship()  # it is not stored a second time, so its file must still have its name
    assert kept.erase().is_complete
    kept.ship()
    assert kept.decisions("inferences") == [("cancer", "d1")]


def test_a_segment_that_was_set_aside_loses_the_units_entries(kept):
    path = kept.segment(DEAD_LETTER, "w", 0)
    path.write_bytes(path.read_bytes() + b"\x09\x00\x00\x00torn")
    done = kept.erase()
    assert done.removed == {"dead-letter": 3}
    assert (done.unread, done.is_complete) == ([path.name], False)
    left = read_segment(path.read_bytes())
    assert ([each.unit_hash for each in left.records], [each.decision_id for each in left.payloads]) == (
        [OTHER],
        ["d1"],
    )
    assert [each.decision_id for each in left.rewards] == ["d1"]
    assert left.torn_bytes == 8
    assert UNIT.encode() not in path.read_bytes()


def test_bodies_and_rewards_in_parquet_of_a_decision_that_was_set_aside_are_removed(kept):
    path = kept.segment("0", "w", 0)
    content = path.read_bytes()
    kept.ship()
    (kept.spool / DEAD_LETTER).mkdir()
    (kept.spool / DEAD_LETTER / path.name).write_bytes(content)
    for file in (kept.log / "inferences").rglob("*.parquet"):
        file.unlink()
    assert kept.erase().removed == {"payloads": 1, "rewards": 1, "dead-letter": 3}


def test_a_damaged_segment_is_named(kept):
    path = kept.segment(DEAD_LETTER, "w", 0)
    path.write_bytes(frame(SegmentHeader("w", 0)) + frame_of(b"\xc1"))
    assert kept.erase().unread == [path.name]


def frame_of(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + zlib.crc32(content).to_bytes(4, "little") + content


class Dying(DirectoryFiles):
    """Ends the process, as it were, at its nth write or removal: before it, or after it."""

    def __init__(self, root: Path, steps: int) -> None:
        super().__init__(root)
        self.steps = steps

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise KeyboardInterrupt

    def write(self, key: str, content: bytes) -> None:
        self._step()
        super().write(key, content)

    def remove(self, key: str) -> None:
        self._step()
        super().remove(key)


@pytest.mark.parametrize("steps", range(6))
def test_killed_at_any_step_the_next_run_finishes(kept, steps):
    kept.segment("0", "w", 0)
    kept.ship()
    kept.files = Dying(kept.log, steps)
    with pytest.raises(KeyboardInterrupt):
        kept.erase()
    assert [decision for _, decision in kept.decisions("inferences")][-1] == "d1"  # shown once
    kept.files = DirectoryFiles(kept.log)
    assert kept.erase().is_complete
    for table in ("inferences", "payloads", "rewards"):
        assert kept.decisions(table) == [("cancer", "d1")]
    assert len(list(kept.log.rglob("*.parquet"))) == 3


def test_what_was_written_is_read_back_before_anything_is_removed(kept):
    kept.segment("0", "w", 0)
    kept.ship()
    whole = next((kept.log / "inferences").rglob("*.parquet")).read_bytes()

    class Wrong(DirectoryFiles):
        def write(self, key: str, content: bytes) -> None:
            super().write(key, whole if key.startswith("inferences") else content)

    kept.files = Wrong(kept.log)
    with pytest.raises(LogUnavailable, match=r"is not what was written; inferences/route=cancer/.* is kept"):
        kept.erase()
    assert whole in [path.read_bytes() for path in (kept.log / "inferences").rglob("*.parquet")]


def test_files_of_an_older_release_keep_their_columns(kept):
    kept.segment("0", "w", 0)
    kept.ship()
    (path,) = (kept.log / "inferences").rglob("*.parquet")
    table = pq.read_table(path).drop_columns(["caller", "door", "tags"])
    pq.write_table(table, path)
    (rewritten,) = kept.erase().rewritten["inferences"]
    assert pq.read_table(kept.log / rewritten.new_key).column_names == table.column_names
    assert erase_module.segment_of(rewritten.new_key) == "w-00000000"


def test_a_unit_is_erased_from_what_was_compacted_and_what_that_has_replaced(kept, tmp_path):
    kept.segment("0", "w-1", 0, (UNIT, OTHER, UNIT, OTHER))
    kept.segment("0", "w-2", 10)
    kept.ship()
    day = datetime.fromtimestamp(NOON_US / 1e6, UTC).strftime("%Y-%m-%d")
    made = list(
        compact_day(
            kept.files,
            DirectorySink(kept.log),
            tmp_path / "scratch",
            day,
            now=lambda: NOON_US,
            force=True,
            keep_us=10**9,
        )
    )
    assert made
    assert kept.erase().is_complete
    for table, rows in (("inferences", 3), ("wide", 3), ("rewards", 3), ("payloads", 3)):
        found = [pq.read_table(path, partitioning=None) for path in (kept.log / table).rglob("*.parquet")]
        assert sum(map(len, found)) == rows, table
        assert not any(UNIT in str(each.to_pydict()) for each in found)
    with frozen_log(kept.files, kept.spool) as frozen:
        assert sum(len(each) for each in frozen.files_of(INFERENCES).values()) == 1


def test_rows_in_parts_of_a_lost_machine_are_not_forgotten(kept):
    content = kept.segment("0", "lost", 0).read_bytes()
    kept.files.write(part_key("lost-00000000", 0, len(content)), content)
    assert kept.erase().waiting == 3  # those of the segment, which is here: its parts go with it
    (kept.spool / "0" / f"lost-00000000{SUFFIX}").unlink()
    assert (kept.erase().waiting, kept.erase().is_complete) == (1, False)
    assert kept.erase(route="other").is_complete
