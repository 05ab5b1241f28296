"""Rows that are lost are counted, to the row; rows of other days and routes are not taken for lost."""

import random

import duckdb
import pyarrow as pa
import pytest

from inference_log.completeness.close import close_day
from inference_log.completeness.loss import create_rows, find_gaps
from inference_log.completeness.whole_log import Lost, find_lost
from inference_log.files.directory import DirectoryFiles
from inference_log.frozen_log import frozen_log
from tests.unit.inference_log.completeness.support import DAY, NOON_US, rows

MIDNIGHT_US = NOON_US - 43_200_000_000


def lost(machine) -> dict[str, int]:
    closed = close_day(machine.files, DAY, machine.now_us, force=True)
    return {each.route: each.lost for each in closed.routes}


def test_a_number_that_no_row_has_counts_for_the_route_of_the_next_row(machine):
    here = machine()
    here.log([*rows(0, 1, 4), *rows(5, 9, route="ranker")])
    here.log(rows(7, 8), writer="w-2")
    here.ship()
    assert lost(here) == {"fraud": 2, "ranker": 3}


def test_numbers_of_the_days_around_are_not_lost(machine):
    here = machine()
    # Events around midnight are logged in another order than they came.
    before, after = rows(1, 3, at_us=MIDNIGHT_US - 60), rows(2, 4, 6, at_us=MIDNIGHT_US + 60)
    here.log([*before, *after, *rows(7, 8, at_us=MIDNIGHT_US + 86_400_000_060)])
    here.ship()
    assert lost(here) == {"fraud": 1}  # 5


def test_a_loss_at_midnight_counts_for_the_later_day(machine):
    here = machine()
    here.log([*rows(1, 2, at_us=MIDNIGHT_US - 60), *rows(6, 7)])
    here.ship()
    assert lost(here) == {"fraud": 3}


@pytest.mark.parametrize("seed", range(5))
def test_what_was_taken_out_at_random_is_what_is_found(seed):
    draw = random.Random(seed)  # noqa: S311  # no secret
    with duckdb.connect() as connection:
        create_rows(connection, "rows")
        taken = 0
        for writer in "abc":
            numbers = range(draw.randint(2, 300))
            kept = {numbers[0], numbers[-1], *(each for each in numbers if draw.random() < 0.9)}
            taken += len(numbers) - len(kept)
            some = [{"route": draw.choice("xy"), "writer_id": writer, "writer_seq": each} for each in kept]
            connection.register("more", pa.Table.from_pylist(some + some[:3]))
            connection.execute("INSERT INTO rows BY NAME FROM more")
        assert sum(gap.missing for gap in find_gaps(connection, "rows")) == taken


def test_the_whole_log_tells_where_rows_were_lost(machine, tmp_path):
    here = machine()
    here.log(rows(0, 1, 3), sequence=0)  # 2 was dropped
    here.log(rows(5, 6), sequence=1)  # 4 was torn off the segment before
    here.log(rows(9, 10), sequence=3)  # segment 2 is missing
    here.ship()
    here.log(rows(12, route="ranker"), sequence=4)  # waits; 11 was torn off
    with frozen_log(DirectoryFiles(tmp_path / "log"), here.spool) as frozen:
        found = find_lost(frozen, lambda _: None)
    assert found == [Lost("w-1", "fraud", 1, 1, 2, 0), Lost("w-1", "ranker", 0, 1, 0, 0)]
    assert [each.rows for each in found] == [4, 1]


def test_nothing_is_lost_while_segments_become_parquet(machine, tmp_path):
    here = machine()
    here.log(rows(*range(10)))
    here.ship()
    here.log(rows(*range(10, 20)), sequence=1)
    with frozen_log(DirectoryFiles(tmp_path / "log"), here.spool) as frozen:
        assert find_lost(frozen, lambda _: None) == []


def test_what_was_found_behind_damage_is_read_while_it_waits(machine, tmp_path):
    here = machine()
    path = here.log(rows(0, 1, 2))
    path.rename(path.with_name(path.name.replace(".segment", "~rest.segment")))
    with frozen_log(DirectoryFiles(tmp_path / "log"), here.spool) as frozen:
        assert find_lost(frozen, lambda _: None) == []
