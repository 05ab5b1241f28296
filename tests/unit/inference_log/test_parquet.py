"""Parquet files: their format, and whether two files hold the same segment."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference_log.errors import SinkConflict
from inference_log.parquet import require_same
from inference_log.schema import AUDIT, INFERENCES
from tests.unit.inference_log.support import encode

# With store_schema=False PyArrow also drops the schema's metadata. So the segment's digest is written separately.


def numbers(rows: int) -> pa.Table:
    return pa.table({"n": pa.array(range(rows), pa.int64())})


def test_a_file_is_version_2_6_zstd_and_without_arrow_schema():
    file = pq.ParquetFile(io.BytesIO(encode(INFERENCES.columns.empty_table(), "abc")))
    assert file.metadata.format_version == "2.6"
    assert b"ARROW:schema" not in (file.metadata.metadata or {})
    written = pq.ParquetFile(io.BytesIO(encode(numbers(3), "abc")))
    assert written.metadata.row_group(0).column(0).compression == "ZSTD"
    assert written.read().equals(numbers(3), check_metadata=False)


def test_the_footer_names_the_segment():
    metadata = pq.read_metadata(io.BytesIO(encode(numbers(1), "abc"))).metadata
    assert metadata is not None
    assert metadata[b"pointsman.segment_sha256"] == b"abc"


@pytest.mark.parametrize(("table", "column"), [(INFERENCES, "event_ts"), (AUDIT, "changed_ts")])
def test_timestamps_have_milliseconds_and_no_zone(table, column):
    schema = pq.read_schema(io.BytesIO(encode(table.columns.empty_table(), "abc")))
    assert schema.field(column).type == pa.timestamp("ms")


def test_the_same_bytes_are_the_same_file():
    require_same(io.BytesIO(encode(numbers(2), "abc")), io.BytesIO(encode(numbers(2), "abc")), "k")


def test_other_bytes_of_the_same_segment_are_the_same_file():
    # Another version of the library, or a compacted file, may write the same rows in other bytes.
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, numbers(2).schema, compression="none") as writer:
        writer.write_table(numbers(2))
        writer.add_key_value_metadata({"pointsman.segment_sha256": "abc"})
    require_same(buffer, io.BytesIO(encode(numbers(2), "abc")), "k")


@pytest.mark.parametrize("stored", [encode(numbers(3), "abc"), encode(numbers(2), "xyz")], ids=["rows", "segment"])
def test_other_rows_or_another_segment_conflict(stored):
    with pytest.raises(SinkConflict, match="k exists and holds other rows"):
        require_same(io.BytesIO(stored), io.BytesIO(encode(numbers(2), "abc")), "k")


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"not Parquet",
        encode(numbers(2), "abc")[:-9],
        pytest.param(
            b"PAR1" + b"\xff" * 40 + (40).to_bytes(4, "little") + b"PAR1",
        ),
    ],
    ids=["empty", "text", "cut", "broken footer"],
)
def test_a_file_that_cannot_be_read_conflicts(stored):
    with pytest.raises(SinkConflict, match="k exists and is not a Parquet file"):
        require_same(io.BytesIO(stored), io.BytesIO(encode(numbers(2), "abc")), "k")


def test_a_parquet_file_of_another_program_conflicts():
    buffer = io.BytesIO()
    pq.write_table(numbers(2), buffer)
    with pytest.raises(SinkConflict, match="holds other rows"):
        require_same(buffer, io.BytesIO(encode(numbers(2), "abc")), "k")
