"""The sink in a directory: each file is complete, is stored once, and is never replaced."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference_log.errors import SinkConflict, SinkUnavailable
from inference_log.sinks.directory import DirectorySink
from tests.unit.inference_log.support import encode

KEY = "inferences/route=r/dt=2026-01-01/w-0.parquet"
SHA = "0123456789abcdef"


def file_of(rows: int, segment_sha256: str = SHA) -> bytes:
    return encode(pa.table({"n": pa.array(range(rows))}), segment_sha256)


def put(sink: DirectorySink, content: bytes, segment_sha256: str = SHA) -> bool:
    staged = sink.staging_path(KEY, segment_sha256)
    staged.write_bytes(content)
    return sink.put(KEY, staged, segment_sha256)


@pytest.fixture
def sink(tmp_path) -> DirectorySink:
    return DirectorySink(tmp_path)


def test_a_file_lies_under_its_key(sink, tmp_path):
    put(sink, file_of(3), SHA)
    assert pq.read_table(tmp_path / KEY, partitioning=None).num_rows == 3


def test_put_twice_is_one_file(sink, tmp_path):
    put(sink, file_of(3), SHA)
    put(sink, file_of(3), SHA)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / KEY]


def test_other_content_under_the_same_key_conflicts_and_stays(sink, tmp_path):
    put(sink, file_of(3), SHA)
    with pytest.raises(SinkConflict, match="holds other rows"):
        put(sink, file_of(4, "f" * 16), "f" * 16)
    assert (tmp_path / KEY).read_bytes() == file_of(3)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / KEY]


def test_rubbish_under_the_same_key_conflicts_and_stays(sink, tmp_path):
    (tmp_path / KEY).parent.mkdir(parents=True)
    (tmp_path / KEY).write_bytes(b"rubbish")
    with pytest.raises(SinkConflict, match="is not a Parquet file"):
        put(sink, file_of(4), SHA)
    assert (tmp_path / KEY).read_bytes() == b"rubbish"


def test_a_root_that_cannot_be_written_is_unavailable(tmp_path):
    (tmp_path / "log").write_text("a file where a folder should be")
    with pytest.raises(SinkUnavailable, match="cannot be written"):
        put(DirectorySink(tmp_path / "log"), file_of(1))


def test_what_a_killed_writer_left_behind_is_no_obstacle(sink, tmp_path):
    (tmp_path / KEY).parent.mkdir(parents=True)
    ((tmp_path / KEY).parent / f".w-0.parquet.{SHA[:8]}.1").write_bytes(b"half a file")
    put(sink, file_of(2), SHA)
    assert (tmp_path / KEY).read_bytes() == file_of(2)
