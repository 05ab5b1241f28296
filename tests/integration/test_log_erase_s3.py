"""A unit is erased from a log in S3, of which nothing is on the disk."""

from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq
import pytest

from inference_log.erase.erase import erase_unit
from inference_log.files.directory import DirectoryFiles
from inference_log.files.open import open_files
from inference_log.local_converter import LocalConverter
from inference_log.record import Context, Record, SegmentHeader
from inference_log.segment import frame
from inference_log.sinks.directory import DirectorySink
from tests.support.s3_server import S3Server

UNIT, OTHER = "a" * 32, "b" * 32
CONTEXT = Context(
    0, "fraud", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", ("x",), ("<f8",), None, (0, "<f8")
)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    made = S3Server(tmp_path_factory.mktemp("s3"), "log")
    made.start()
    yield made
    made.kill()


def test_the_objects_of_a_unit_are_replaced(server, tmp_path, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    number = np.array([1.0]).tobytes()
    records = [
        Record(0, seq, f"d{seq}", 0, seq, "STICKY", 1.0, unit, 200, "ok", "", 1, 1, 1, "", "", (number,), (number,))
        for seq, unit in enumerate([UNIT, OTHER] * 500)
    ]
    segment = tmp_path / "w-00000000.segment"
    segment.write_bytes(b"".join(map(frame, (SegmentHeader("w", 0), CONTEXT, *records))))
    LocalConverter(DirectorySink(tmp_path / "made")).convert(segment, lambda: False)
    made, files = DirectoryFiles(tmp_path / "made"), open_files("s3://log/prod")
    for each in made.list(""):
        files.write(each.key, made.read(each.key) or b"")
    done = erase_unit(files, tmp_path / "spool", UNIT, None, lambda _: None)
    assert (done.removed["inferences"], done.decisions, done.is_complete) == (500, 500, True)
    (left,) = files.list("inferences/")
    assert left.key == done.rewritten["inferences"][0].new_key
    table = pq.read_table(files.path(left.key), filesystem=files.filesystem)
    assert set(table.column("unit_hash").to_pylist()) == {OTHER}
    assert table.num_rows == 500
    assert erase_unit(files, tmp_path / "spool", UNIT, None, lambda _: None).decisions == 0
