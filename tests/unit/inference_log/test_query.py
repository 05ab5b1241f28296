"""SQL over the log: each row once, in Parquet or in a segment."""

import pyarrow.parquet as pq
import pytest

from inference_log.errors import QueryRefused
from inference_log.files import StoredFile
from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.query import run_query
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from inference_log.spool import segments, take_seat
from inference_log.writer import LogWriter


@pytest.fixture
def ship(tmp_path, seat):
    shipper = Shipper(tmp_path / "spool", LocalConverter(DirectorySink(tmp_path / "log")))
    return lambda: shipper.ship(segments(seat.folder))


def test_an_empty_log_has_columns_and_no_rows(ask):
    columns, rows = ask("SELECT inference_id, weights, prediction, route, dt FROM inferences")
    assert columns == ["inference_id", "weights", "prediction", "route", "dt"]
    assert rows == []


def test_rows_that_are_not_shipped_yet_are_there(ask, seat, make_context, make_record):
    writer = LogWriter(seat.folder, "w")
    for _ in range(3):
        writer.append(make_context(), make_record)
    columns, rows = ask("SELECT decision_id, route, dt, weights['canary'] AS w FROM inferences ORDER BY ALL")
    assert columns == ["decision_id", "route", "dt", "w"]
    assert rows == [(f"d{index}", "cancer", "2026-01-01", 0.1) for index in range(3)]
    writer.append(make_context(), make_record)
    assert ask("SELECT count(*) FROM inferences")[1] == [(4,)]


def test_parquet_and_segments_are_one_table(ask, seat, ship, make_context, make_record, write_segment):
    write_segment(seat.folder, [make_context()], [make_record(writer_seq=0)], 0)
    ship()
    write_segment(seat.folder, [make_context(route="digits")], [make_record(writer_seq=1)], 1)
    _, rows = ask("SELECT decision_id, route, dt, typeof(dt), features_num['radius'] FROM inferences ORDER BY ALL")
    assert rows == [
        ("d0", "cancer", "2026-01-01", "VARCHAR", 1.0),
        ("d1", "digits", "2026-01-01", "VARCHAR", 1.0),
    ]


def test_a_segment_that_is_parquet_and_still_on_disk_shows_once(
    ask, seat, ship, make_context, make_record, write_segment
):
    path = write_segment(seat.folder, [make_context()], [make_record(writer_seq=index) for index in range(3)])
    content = path.read_bytes()
    ship()
    path.write_bytes(content)
    assert ask("SELECT decision_id FROM inferences ORDER BY ALL")[1] == [("d0",), ("d1",), ("d2",)]


def test_segments_of_every_seat_are_read(ask, tmp_path, seat, make_context, make_record, write_segment):
    other = take_seat(tmp_path / "spool")
    write_segment(seat.folder, [make_context()], [make_record(writer_seq=0)])
    write_segment(other.folder, [make_context()], [make_record(writer_seq=1)])
    other.release()
    assert ask("SELECT count(*) FROM inferences")[1] == [(2,)]


def test_days_are_utc_whatever_the_machine_says(ask, seat, make_context, make_record, write_segment):
    write_segment(seat.folder, [make_context()], [make_record()])
    assert ask("SELECT event_ts::VARCHAR, current_setting('TimeZone') FROM inferences")[1] == [
        ("2026-01-01 12:00:00", "UTC")
    ]


def test_a_path_with_a_quote_is_only_a_path(tmp_path, seat, ship, make_context, make_record, write_segment):
    home = tmp_path / "it's"
    write_segment(seat.folder, [make_context()], [make_record()])
    ship()
    home.mkdir()
    (tmp_path / "log").rename(home / "log")
    assert run_query(DirectoryFiles(home / "log"), home / "spool", "SELECT count(*) FROM inferences")[1] == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELEKT 1",
        "SELECT nothing FROM inferences",
        "SELECT * FROM elsewhere",
        "SELECT CAST('x' AS INTEGER)",
        "",
        "-- nothing",
    ],
)
def test_wrong_sql_is_refused(ask, sql):
    with pytest.raises(QueryRefused, match=r"The query (cannot be run|is empty)"):
        ask(sql)


def test_a_poisoned_segment_hides_only_itself(ask, seat, make_context, make_record, write_segment):
    write_segment(seat.folder, [], [make_record(context=7)], 0)
    write_segment(seat.folder, [make_context()], [make_record(writer_seq=1)], 1)
    assert ask("SELECT decision_id FROM inferences")[1] == [("d1",)]


def test_each_change_is_shown_once_wherever_and_however_often_it_was_noted(
    ask, tmp_path, seat, ship, make_audit, write_segment
):
    other = take_seat(tmp_path / "spool")
    write_segment(seat.folder, [], [make_audit(1), make_audit(2)], 1)
    write_segment(seat.folder, [], [make_audit(2)], 2)  # by a replica that did not know of the first entry
    ship()
    write_segment(other.folder, [], [make_audit(2), make_audit(3, route="digits", version=1)], 3)
    other.release()
    _, rows = ask("SELECT number, route, version, weights['canary'], dt FROM audit ORDER BY number")
    assert rows == [
        (1, "cancer", 1, 0.1, "2026-01-01"),
        (2, "cancer", 2, 0.1, "2026-01-01"),
        (3, "digits", 1, 0.1, "2026-01-01"),
    ]


def test_a_change_made_anew_after_the_store_was_lost_is_another_change(ask, seat, make_audit, write_segment):
    changes = [make_audit(1, why="first"), make_audit(1, why="second", at_us=1_767_268_800_000_777)]
    write_segment(seat.folder, [], changes)
    assert ask("SELECT why FROM audit ORDER BY changed_ts_us")[1] == [("first",), ("second",)]


def test_a_log_without_changes_has_columns_and_no_rows(ask, seat, make_context, make_record, write_segment):
    write_segment(seat.folder, [make_context()], [make_record()])
    columns, rows = ask("SELECT number, route, changed_ts, replica, phase, document, dt FROM audit")
    assert (len(columns), rows) == (7, [])


def test_files_without_the_newest_columns_are_read_with_those_empty(
    ask, tmp_path, seat, ship, make_context, make_record, write_segment
):
    write_segment(seat.folder, [make_context()], [make_record()])
    ship()
    (path,) = (tmp_path / "log").rglob("*.parquet")
    pq.write_table(
        pq.ParquetFile(path).read().drop_columns(["compared_with", "label_flips", "mean_difference", "values_omitted"]),
        path,
    )
    assert ask("SELECT decision_id, compared_with, mean_difference, values_omitted FROM inferences")[1] == [
        ("d0", None, None, None)
    ]


class OneIsGone(DirectoryFiles):
    """The files of a log of which one is removed after they were listed."""

    def list(self, below):
        """See `LogFiles.list`."""
        gone = [StoredFile(f"{below}route=a/dt=2026-01-01/gone.parquet", 1)] if below == "inferences/" else []
        return [*super().list(below), *gone]


def test_a_file_that_is_removed_meanwhile_is_named_and_only_where_it_is_needed(tmp_path):
    files = OneIsGone(tmp_path / "log")
    assert run_query(files, tmp_path / "spool", "SELECT count(*) FROM inferences WHERE route = 'b'")[1] == [(0,)]
    with pytest.raises(QueryRefused, match=r"The query cannot be run: .*gone\.parquet"):
        run_query(files, tmp_path / "spool", "SELECT count(*) FROM inferences")


def test_a_log_without_rows_is_said_and_files_that_are_no_rows_are_left_out(tmp_path, seat, make_audit, write_segment):
    said = []
    files = DirectoryFiles(tmp_path / "log")
    for key in ("inferences/notes.txt", "inferences/x.parquet", "inferences/dt=1/x.parquet", "other/a.parquet"):
        files.write(key, b"no rows")
    count = "SELECT count(*) FROM inferences"
    assert run_query(files, tmp_path / "spool", count, lambda: said.append("empty"))[1] == [(0,)]
    write_segment(seat.folder, [], [make_audit()])
    run_query(files, tmp_path / "spool", count, lambda: said.append("not empty"))
    assert said == ["empty"]
