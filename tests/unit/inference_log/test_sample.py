"""The sample of a route's answered requests."""

import time

import numpy as np
import pyarrow as pa
import pytest

from inference_log.answers import as_logged, logged_answers
from inference_log.files import StoredFile
from inference_log.files.directory import DirectoryFiles
from inference_log.record import Record, SegmentHeader
from inference_log.rows.inference_rows import inference_table
from inference_log.sample import Asked, SampleLimits, sample_requests
from tests.unit.inference_log.conftest import NOON_US
from tests.unit.inference_log.support import encode

DAY_S = 86_400.0
NOON_S = NOON_US / 1e6
FOLDER = "inferences/route=cancer/dt=2026-01-01"


@pytest.fixture
def write(tmp_path, make_context):
    """Return a function that writes records into a Parquet file of the log, a row group for each list of records."""

    def write(name, *groups: list[Record], **context):
        tables = [inference_table(make_context(**context), records, SegmentHeader("w", 0)) for records in groups]
        path = tmp_path / FOLDER / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(pa.concat_tables(tables), "0" * 64))
        return path

    return write


class OneIsGone(DirectoryFiles):
    """The files of a log of which one is removed after they were listed."""

    def list(self, below):
        """See `LogFiles.list`."""
        return [*super().list(below), StoredFile(f"{FOLDER}/gone.parquet", 1)]


def drawn(tmp_path, most=100, since_s=NOON_S - DAY_S, until_s=NOON_S + DAY_S, without="", log=None, **limits):
    asked = Asked("cancer", since_s, until_s, without)
    return sample_requests(log or DirectoryFiles(tmp_path), asked, most, SampleLimits(**limits))


def ids(sample):
    return sorted(rows["decision_id"][0].as_py() for rows in sample.requests)


def test_without_a_log_there_are_none(tmp_path):
    assert drawn(tmp_path) == ((), 0, 0, False)


def test_only_answers_of_arms_within_the_time_are_drawn(tmp_path, write, make_record):
    write(
        "a",
        [
            make_record(writer_seq=0),
            make_record(writer_seq=1, outcome="error", outputs=()),
            make_record(writer_seq=2, event_us=NOON_US - 3_600_000_000),
            make_record(writer_seq=3, event_us=NOON_US + 3_600_000_000),
        ],
    )
    write("b", [make_record(writer_seq=4)], role="shadow")
    write("c", [make_record(writer_seq=5)], role="fallback")
    found = drawn(tmp_path, since_s=NOON_S - 60, until_s=NOON_S + 60)
    assert (ids(found), found.found) == (["d0"], 1)


def test_answers_of_the_version_itself_are_not_drawn(tmp_path, write, make_record):
    write("a", [make_record(writer_seq=0)])
    write("b", [make_record(writer_seq=1)], model_digest="e" * 64)
    assert ids(drawn(tmp_path, without="e" * 64)) == ["d0"]


def test_a_request_of_several_instances_is_drawn_as_a_whole_and_in_order(tmp_path, write, make_record):
    inputs, outputs = np.arange(6, dtype="<f4"), (np.arange(3, dtype="<i8"), np.zeros((3, 2), "<f4"))
    write("a", [make_record(writer_seq=n, batch_size=3, inputs=(inputs,), outputs=outputs) for n in range(4)])
    found = drawn(tmp_path, most=2)
    assert [rows["instance_index"].to_pylist() for rows in found.requests] == [[0, 1, 2], [0, 1, 2]]
    assert found.found == 4
    assert dict(found.requests[0]["features_num"][2].as_py()) == {"radius": 4.0, "texture": 5.0}


def test_the_sample_is_even_over_files_of_different_sizes(tmp_path, write, make_record):
    write("large", [make_record(writer_seq=n) for n in range(900)])
    for number in range(100):
        write(f"small{number}", [make_record(writer_seq=1000 + number)])
    found = drawn(tmp_path, most=200)
    of_small = sum(int(each[1:]) >= 1000 for each in ids(found))
    assert (len(found.requests), found.found, found.is_partial) == (200, 1000, False)
    assert 5 <= of_small <= 40  # 20 are expected, with a standard deviation of 3.8
    assert ids(drawn(tmp_path, most=200)) == ids(found)


def test_files_that_cannot_be_read_are_counted_and_others_are_read(tmp_path, write, make_record):
    write("good", [make_record(writer_seq=0)])
    write("cut", [make_record(writer_seq=n) for n in range(50)])
    whole = (tmp_path / FOLDER / "cut.parquet").read_bytes()
    (tmp_path / FOLDER / "cut.parquet").write_bytes(whole[:-20])
    (tmp_path / FOLDER / "noise.parquet").write_bytes(b"PAR1" + bytes(range(256)) * 20 + b"PAR1")
    (tmp_path / FOLDER / "damaged.parquet").write_bytes(whole[:8] + b"\xff" * 400 + whole[408:])
    (tmp_path / FOLDER / "empty.parquet").write_bytes(b"")
    (tmp_path / FOLDER / ".staged.parquet.0000").write_bytes(b"being written")
    found = drawn(tmp_path, log=OneIsGone(tmp_path))
    assert (ids(found), found.unread) == (["d0"], 5)


def test_reading_ends_at_its_bounds(tmp_path, write, make_record):
    for number in range(20):
        write(f"f{number}", [make_record(writer_seq=100 * number + n) for n in range(100)])
    assert (drawn(tmp_path).found, drawn(tmp_path).is_partial) == (2000, False)
    by_rows, by_files = drawn(tmp_path, rows=500), drawn(tmp_path, files=3)
    assert (by_rows.found, by_rows.is_partial, len(by_rows.requests)) == (500, True, 100)
    assert (by_files.found, by_files.is_partial) == (300, True)
    assert drawn(tmp_path, within_s=-1.0) == ((), 0, 0, True)
    assert drawn(tmp_path, group_bytes=10) == ((), 0, 0, True)
    of_values = drawn(tmp_path, values=40)
    assert len(of_values.requests) == 10  # of two features and two predictions each


def test_ten_million_rows_are_not_read(tmp_path, write, make_record):
    path = write("a", [make_record(writer_seq=n) for n in range(50_000)])
    for number in range(199):
        (path.parent / f"b{number}.parquet").hardlink_to(path)
    began_s = time.monotonic()
    found = drawn(tmp_path, most=500)
    took_s = time.monotonic() - began_s
    assert (found.found, len(found.requests), found.is_partial) == (1_000_000, 500, True)
    assert took_s < 60


def test_columns_that_an_older_release_did_not_write_have_no_values(tmp_path, make_context, make_record):
    table = inference_table(make_context(), [make_record()], SegmentHeader("w", 0)).drop_columns(
        ["features_cat", "values_omitted"]
    )
    path = tmp_path / FOLDER / "old.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode(table, "0" * 64))
    (rows,) = drawn(tmp_path).requests
    assert rows["features_cat"].to_pylist() == rows["values_omitted"].to_pylist() == [None]


def test_answers_have_the_form_of_the_log(tmp_path, write, make_record):
    label, scores = np.array([1, 0], "<i8"), np.array([[0.25, 0.75], [0.5, np.nan]], "<f4")
    write("a", [make_record(batch_size=2, inputs=(np.zeros(4, "<f4"),), outputs=(label, scores))])
    (rows,) = drawn(tmp_path).requests
    own = as_logged((0, "<i8"), (1, "<f4"), (label.tobytes(), scores.tobytes()), 2)
    for answers in (logged_answers(rows), own):
        assert answers.labels.tolist() == ["1", "0"]
        np.testing.assert_array_equal(answers.predictions, scores.astype(float))
    texts = as_logged((0, "|O"), None, (b"\x03\0\0\0yes\x02\0\0\0no",), 2)
    assert (texts.labels.tolist(), texts.predictions) == (["yes", "no"], None)
