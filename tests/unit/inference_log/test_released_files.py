"""What earlier releases have written is read by today's readers. See `tests/support/log_fixture.py`."""

import shutil
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.record import SCHEMA_VERSION
from inference_log.schema import TABLES, Table
from inference_log.segment import SUFFIX, read_segment
from tests.support.log_fixture import write

RELEASED = sorted((Path(__file__).parents[2] / "fixtures" / "log").iterdir())
EACH = pytest.mark.parametrize("release", RELEASED, ids=[path.name for path in RELEASED])
COUNTS = {"inferences": 5, "audit": 1, "rewards": 1, "policies": 1, "payloads": 1}
VALUES = {"route": "cancer", "dt": "2026-01-01"}


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "log"


def put(log: Path, file: Path, table: Table, name: str = "w-00000000-01234567") -> None:
    folder = log.joinpath(table.name, *(f"{key}={VALUES[key]}" for key in table.keys))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, folder / f"{name}.parquet")


def tables_of(release: Path) -> list[Table]:
    """Return the tables that a release had."""
    return [table for table in TABLES if (release / f"{table.name}.parquet").exists()]


def test_each_version_of_the_schema_has_its_files():
    assert [len(tables_of(release)) for release in RELEASED] == [4, 5]
    assert [path.name for path in RELEASED] == [str(version) for version in range(1, SCHEMA_VERSION + 1)]


@EACH
def test_duckdb_reads_each_table(log, release):
    for table in tables_of(release):
        put(log, release / f"{table.name}.parquet", table)
    for table in tables_of(release):
        columns, rows = run_query(DirectoryFiles(log), log / "spool", f"SELECT * FROM {table.name}")
        assert len(rows) == COUNTS[table.name]
        there = {*pq.read_schema(release / f"{table.name}.parquet").names, *table.keys}
        late = set(table.columns.names) - there
        assert set(columns) == there | late
        assert all(row[columns.index(name)] is None for row in rows for name in late)


@EACH
def test_one_dataset_of_todays_columns_reads_each_table(release):
    for table in tables_of(release):
        file = release / f"{table.name}.parquet"
        read = ds.dataset(file, schema=table.columns).to_table()
        assert read.schema == table.columns
        assert read.num_rows == COUNTS[table.name]
        for name in set(table.columns.names) - set(pq.read_schema(file).names):
            assert read.column(name).null_count == read.num_rows


def test_files_of_all_releases_are_one_table(log):
    for release in RELEASED:
        for table in tables_of(release):
            put(log, release / f"{table.name}.parquet", table, f"v{release.name}-00000000-01234567")
    sql = "SELECT count(*), count(features_cat['town']), sum(latency_ms) FROM inferences"
    assert run_query(DirectoryFiles(log), log / "spool", sql)[1] == [
        (5, 1, 7.5)
    ]  # a row that is in several files is shown once


@EACH
def test_a_segment_is_read_to_its_end(tmp_path, release):
    segment = read_segment((release / f"w{SUFFIX}").read_bytes())
    assert segment is not None
    assert segment.torn_bytes == 0
    assert [len(each) for each in segment[1:4]] == [2, 4, 1]
    (tmp_path / "spool" / "0").mkdir(parents=True)
    shutil.copy(release / f"w{SUFFIX}", tmp_path / "spool" / "0" / f"w-00000000{SUFFIX}")
    for table in tables_of(release):
        sql = f"SELECT * FROM {table.name} ORDER BY ALL"
        columns, waiting = run_query(DirectoryFiles(tmp_path / "log"), tmp_path / "spool", sql)
        there = pq.read_table(release / f"{table.name}.parquet", schema=table.columns)
        assert len(waiting) == there.num_rows
        assert set(table.columns.names) < {*columns}


def test_the_newest_files_are_what_is_written_today(tmp_path):
    write(tmp_path / "now")
    for table in tables_of(RELEASED[-1]):
        name = f"{table.name}.parquet"
        assert pq.read_table(tmp_path / "now" / name) == pq.read_table(RELEASED[-1] / name)
