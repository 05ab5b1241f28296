"""`pointsman log recover` stores what a lost machine left, counts it once, and says what it could not store."""

import json

import pytest

from inference_log.file_names import part_key
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.record import Context, Record
from inference_log.writer import LogWriter
from store.open import open_store

SEGMENT = "lost-0-1-00000000"


@pytest.fixture
def content(tmp_path) -> bytes:
    """Return a segment of a lost machine, with two rows of long ago."""
    (tmp_path / "disk").mkdir()
    writer = LogWriter(tmp_path / "disk", "lost-0-1")
    context = Context(0, "r", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d")
    for number in range(2):
        writer.append(
            context,
            lambda at, seq, number=number: Record(
                at, seq, f"d{number}", 0, 1, "WEIGHTED", 1.0, None, 200, "ok", "", 0, 0, 1, "", "", (), ()
            ),
        )
    writer.close()
    return (tmp_path / "disk" / f"{SEGMENT}.segment").read_bytes()


def test_there_is_nothing_to_recover(run):
    done = run("log", "recover")
    assert (done.exit_code, done.stdout) == (0, "No machine has rows in _strict/.\n")


def test_rows_are_stored_and_counted_and_the_parts_are_removed(run, tmp_path, content):
    files = DirectoryFiles(tmp_path / "log")
    files.write(part_key(SEGMENT, 0, len(content)), content)
    done = run("log", "recover", "--json")
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert (found["segment"], found["state"], found["rows"], found["removed"]) == (SEGMENT, "stored", 2, True)
    assert files.list("_strict/") == []
    assert run_query(files, tmp_path / "spool", "SELECT decision_id FROM inferences ORDER BY 1")[1] == [
        ("d0",),
        ("d1",),
    ]
    store = open_store(f"sqlite:///{tmp_path / 'pointsman.db'}")
    assert store.counted(f"{SEGMENT}.segment") == len(content)
    store.close()


def test_what_is_in_the_log_and_forgotten_by_the_store_is_not_counted_again(run, tmp_path, content):
    files = DirectoryFiles(tmp_path / "log")
    for _ in range(2):
        files.write(part_key(SEGMENT, 0, len(content)), content)
        assert run("log", "recover").exit_code == 0
        store = open_store(f"sqlite:///{tmp_path / 'pointsman.db'}")
        counted = store.counted(f"{SEGMENT}.segment")
        store.forget_source(f"{SEGMENT}.segment")
        store.close()
    assert counted == 0


def test_parts_that_are_no_segment_are_said_and_stay(run, tmp_path, content):
    files = DirectoryFiles(tmp_path / "log")
    files.write(part_key(SEGMENT, 10, len(content)), content[10:])
    done = run("log", "recover")
    assert done.exit_code == 1
    assert "incomplete" in done.stdout
    assert files.list("_strict/")
