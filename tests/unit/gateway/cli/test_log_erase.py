"""`pointsman log erase`: how the unit is named, what is printed, the exit code, and the row in `audit`."""

import json
from pathlib import Path

import pytest

from gateway.inference.unit_secret import hash_unit, load_unit_secret
from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.query import run_query
from inference_log.record import Context, Record, SegmentHeader
from inference_log.segment import SUFFIX, frame
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink

CONTEXT = Context(0, "fraud", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d")


@pytest.fixture
def home(tmp_path) -> Path:
    """Return the home in whose log two units have a request each."""
    secret = load_unit_secret(tmp_path)
    hashes = [hash_unit(unit, secret) for unit in ("ada", "bob")]
    records = [
        Record(0, seq, f"d{seq}", 0, seq, "STICKY", 1.0, unit, 200, "ok", "", 1, 1, 0, "", "")
        for seq, unit in enumerate(hashes)
    ]
    folder = tmp_path / "spool" / "0"
    folder.mkdir(parents=True)
    content = b"".join(map(frame, (SegmentHeader("w", 0), CONTEXT, *records)))
    (folder / f"w-00000000{SUFFIX}").write_bytes(content)
    return tmp_path


def ship(home: Path) -> None:
    Shipper(home / "spool", LocalConverter(DirectorySink(home / "log"))).tick()


def ask(home: Path, sql: str) -> list:
    return run_query(DirectoryFiles(home / "log"), home / "spool", sql)[1]


def test_a_unit_is_erased_by_its_name_and_audited(run, home):
    ship(home)
    done = run("log", "erase", "--unit", "ada", "--why", "asked on Monday")
    assert done.exit_code == 0, done.output
    assert "1 rows of unit" in done.stdout
    assert ask(home, "SELECT decision_id FROM inferences") == [("d1",)]
    ((what, why, route, document),) = ask(home, "SELECT what, why, route, document FROM audit")
    unit_hash = hash_unit("ada", load_unit_secret(home))
    assert (what, why, route) == (f"log erase --unit-hash {unit_hash}", "asked on Monday", "")
    assert json.loads(document)["removed"] == {"inferences": 1, "dead-letter": 0}
    again = run("log", "erase", "--unit-hash", unit_hash, "--route", "fraud", "--json")
    assert (again.exit_code, json.loads(again.stdout)["complete"]) == (0, True)
    assert ask(home, "SELECT count(*) FROM audit") == [(2,)]


def test_rows_that_wait_are_said_and_the_exit_code_is_1(run, home):
    waits = run("log", "erase", "--unit", "ada")
    assert waits.exit_code == 1
    assert "1 rows wait in segments that are not Parquet yet. Run it again" in waits.stdout


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "Name the unit with --unit, or its hash"),
        (("--unit", "ada", "--unit-hash", "a" * 32), "Name the unit with --unit, or its hash"),
        (("--unit-hash", "xyz"), "must be 32 hexadecimal digits"),
    ],
)
def test_a_unit_is_named_once(run, home, options, why):
    result = run("log", "erase", *options)
    assert result.exit_code == 2
    assert why in result.output
    assert ask(home, "SELECT count(*) FROM audit") == [(0,)]


def test_without_a_secret_no_unit_can_be_hashed(run):
    result = run("log", "erase", "--unit", "ada")
    assert result.exit_code == 2
    assert "no unit can be hashed; name the right --home" in result.output


def test_the_key_that_machines_share_hashes_the_unit(run, tmp_path, monkeypatch):
    given = tmp_path / "shared-key"
    given.write_bytes(b"k" * 32)
    monkeypatch.setenv("POINTSMAN_UNIT_SECRET_FILE", str(given))
    done = run("log", "erase", "--unit", "ada", "--json")
    assert json.loads(done.stdout)["unit_hash"] == hash_unit("ada", b"k" * 32)
