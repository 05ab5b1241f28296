"""Small files become large ones with the same rows, each once, sorted; and what was replaced goes some time after."""

import os
import random

import pyarrow.parquet as pq
import pytest

from inference_log.compaction.names import is_compacted
from inference_log.compaction.records import read_records
from inference_log.compaction.run import NotTheSame
from inference_log.completeness.state import NotClosed
from inference_log.files.directory import DirectoryFiles
from inference_log.frozen_log import frozen_log
from inference_log.record import Reward, RewardContext, SegmentHeader
from inference_log.schema import INFERENCES
from inference_log.segment import frame
from router.rewards.events import Operation
from tests.unit.inference_log.compaction.support import HOUR_US
from tests.unit.inference_log.completeness.support import DAY, NOON_US, rows

EVERYTHING = "SELECT * FROM inferences ORDER BY inference_id"


def test_the_rows_are_the_same_and_lie_in_one_file(site):
    before = site.ask(EVERYTHING)
    (made,) = site.compact(keep_us=0)
    assert (made.rows, made.inputs, made.outputs, made.removed, made.duplicates) == (6, 2, 1, 2, 0)
    (name,) = site.files("inferences")
    assert is_compacted(name)
    assert site.ask(EVERYTHING) == before
    file = next((site.log / "inferences").rglob("*.parquet"))
    assert pq.read_schema(file).equals(INFERENCES.columns)


def test_a_second_run_has_nothing_to_do(site):
    site.compact(keep_us=0)
    before = site.files("inferences"), site.files("wide")
    assert site.compact(keep_us=0) == []
    assert (site.files("inferences"), site.files("wide")) == before


def test_what_was_replaced_stays_for_readers_that_have_listed_it(site):
    site.compact()
    assert len(site.files("inferences")) == 3
    assert site.numbers() == [0, 1, 2, 3, 4, 5]
    assert site.compact() == []
    site.now_us += HOUR_US
    (made,) = site.compact()
    assert (made.removed, made.inputs) == (2, 0)
    assert len(site.files("inferences")) == 1


def test_readers_that_know_records_see_each_row_once_all_the_time(site, tmp_path):
    def seen() -> list[str]:
        with frozen_log(DirectoryFiles(site.log), tmp_path / "none") as frozen:
            return sorted(file.key for files in frozen.files_of(INFERENCES).values() for file in files)

    before = seen()
    site.compact()
    (after,) = seen()
    assert len(before) == 2
    assert is_compacted(after)


def test_a_late_file_stays_and_is_merged_by_the_next_run(site):
    site.compact(keep_us=0)
    site.add(6, 7, sequence=2)
    assert site.numbers() == list(range(8))
    (made,) = site.compact(keep_us=0)
    assert (made.rows, made.inputs, made.outputs) == (8, 2, 1)
    assert site.numbers() == list(range(8))
    assert len(site.files("inferences")) == len(site.files("wide")) == 1
    assert len(read_records(DirectoryFiles(site.log))) == 1


def test_rows_of_equal_identity_become_one(site):
    site.add(4, 5, 6, sequence=9)
    (made,) = site.compact(keep_us=0)
    assert (made.rows, made.duplicates) == (7, 2)
    assert site.numbers() == list(range(7))


def test_rows_are_sorted_by_time_and_split_by_size(site):
    numbers = list(range(6, 406))
    random.Random(1).shuffle(numbers)  # noqa: S311  # no secret
    for sequence, start in enumerate(range(0, 400, 100), 2):
        site.add(*numbers[start : start + 100], sequence=sequence)
    (made,) = site.compact(keep_us=0, target_bytes=1)
    files = sorted((site.log / "inferences").rglob("*.parquet"))
    times = [time for file in files for time in pq.read_table(file, partitioning=None)["event_ts_us"].to_pylist()]
    assert times == [NOON_US + number for number in range(406)]
    assert made.outputs == len(files)


def test_each_feature_is_a_column_of_the_wide_table(site):
    site.compact(keep_us=0)
    (file,) = (site.log / "wide").rglob("*.parquet")
    schema = pq.read_schema(file)
    assert {name: str(schema.field(name).type) for name in schema.names if name.startswith("feature")} == {
        "feature_radius": "double", "feature_texture": "double",
    }  # fmt: skip
    assert str(schema.field("event_ts").type) == "timestamp[ms]"
    assert site.wide("writer_seq, feature_radius, feature_texture") == [(number, 1.0, 2.0) for number in range(6)]


def test_the_wide_table_follows_late_rows_and_nothing_else(site):
    site.compact(keep_us=0)
    site.add(6, sequence=2)
    site.compact(keep_us=0)
    assert [number for (number,) in site.wide("writer_seq")] == list(range(7))


def test_a_wide_file_that_is_gone_is_made_again(site):
    site.compact(keep_us=0)
    next((site.log / "wide").rglob("*.parquet")).unlink()
    site.compact(keep_us=0)
    assert len(site.files("wide")) == 1
    assert site.numbers() == list(range(6))


def test_rewards_that_say_the_same_stay_and_one_that_was_stored_twice_does_not(site):
    context = RewardContext(0, "fraud", 1, 1, "a", "1", ())
    for sequence, numbers in enumerate(([0, 1], [1, 2])):
        rewards = [
            Reward(0, number, "d", NOON_US, 1, 0.5, -1, "click", "", Operation.SET, NOON_US, 1.0, NOON_US + number,
                   is_late=False, source="http")
            for number in numbers
        ]  # fmt: skip
        path = site.machine.spool / "0" / f"rewards-1-{sequence:08d}.segment"
        path.write_bytes(b"".join(map(frame, (SegmentHeader("rewards-1", sequence), context, *rewards))))
    site.machine.ship()
    assert [(made.table, made.rows, made.duplicates) for made in site.compact(keep_us=0)][1:] == [("rewards", 3, 1)]
    (file,) = (site.log / "rewards").rglob("*.parquet")
    assert pq.read_table(file, partitioning=None)["writer_seq"].to_pylist() == [0, 1, 2]
    assert len(site.ask("FROM rewards")) == 1  # the view shows what says the same once
    assert site.compact(keep_us=0) == []


def test_what_a_killed_run_had_begun_to_write_goes_after_a_day(site):
    folder = site.log / "inferences" / "route=fraud" / f"dt={DAY}"
    for name, age_s in (("old", 90_000), ("new", 60)):
        path = folder / f".compacted-{name}.parquet.0"
        path.touch()
        os.utime(path, times=2 * (site.now_us / 1e6 - age_s,))
    site.compact(keep_us=0)
    assert [path.name for path in folder.glob(".*")] == [".compacted-new.parquet.0"]


def test_only_the_routes_that_are_named_are_compacted(site):
    site.machine.log(rows(9, route="ranker"), writer="w-2")
    site.machine.ship()
    assert [made.route for made in site.compact(routes=["ranker"])] == ["ranker"]
    assert {made.route for made in site.compact()} == {"fraud"}


def test_a_day_that_is_not_closed_is_refused(site):
    with pytest.raises(NotClosed, match=f"{DAY} is not closed"):
        site.compact(force=False)
    assert len(site.files("inferences")) == 2


def test_rows_that_were_not_written_are_noticed_and_nothing_is_removed(site, monkeypatch):
    def lossy(self, group):
        original(self, group.slice(1))

    from inference_log.compaction.write import OutputFiles

    original = OutputFiles.write
    monkeypatch.setattr(OutputFiles, "write", lossy)
    with pytest.raises(NotTheSame, match="5 rows instead of 6"):
        site.compact(keep_us=0)
    monkeypatch.undo()
    assert site.numbers() == list(range(6))
    assert site.compact(keep_us=0)[0].rows == 6


def test_a_value_that_was_changed_is_noticed(site, monkeypatch):
    from inference_log.compaction.write import OutputFiles

    original = OutputFiles.write

    def change(self, group):
        column = group["latency_ms"].to_pylist()
        column[-1] += 1
        place = group.schema.get_field_index("latency_ms")
        original(self, group.set_column(place, "latency_ms", [column]))

    monkeypatch.setattr(OutputFiles, "write", change)
    with pytest.raises(NotTheSame, match="other values in latency_ms"):
        site.compact(keep_us=0)
    assert len([name for name in site.files("inferences") if not is_compacted(name)]) == 2
