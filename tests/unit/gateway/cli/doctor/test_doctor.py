"""The doctor says what is wrong with a machine's gateway, and what to do, and changes nothing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.doctor.access import check_access
from gateway.cli.doctor.finding import State
from gateway.cli.doctor.home import check_home
from gateway.cli.doctor.log import check_log
from gateway.cli.doctor.machine import check_machine
from gateway.cli.doctor.registry import check_registry
from gateway.cli.doctor.store import check_store
from gateway.cli.main import app
from gateway.settings import Settings
from store.sqlite.store import SQLiteStore


def settings_of(home: Path, **given: object) -> Settings:
    return Settings(home=home, **given).resolved()


def worst(findings) -> State:
    states = [each.state for each in findings]
    return max(states, key=list(State).index)


@pytest.fixture
def home(tmp_path) -> Path:
    """Return a home that a gateway has used."""
    made = tmp_path / "var"
    made.mkdir(mode=0o700)
    (made / "models" / "fraud").mkdir(parents=True)
    (made / "log").mkdir()
    SQLiteStore(made / "pointsman.db").close()
    return made


def files_below(folder: Path) -> set[Path]:
    return {each for each in folder.rglob("*") if each.is_file()}


def test_a_home_that_is_well_has_no_fault_and_gets_no_file(home):
    settings, before = settings_of(home), files_below(home)
    for check in (check_home, check_access, check_store, check_registry, check_log):
        assert worst(check(settings)) is State.OK, list(check(settings))
    assert worst(check_machine(settings)) is not State.FAULT
    assert files_below(home) == before


def test_before_the_first_start_nothing_is_made(tmp_path):
    settings = settings_of(tmp_path / "var")
    for check in (check_home, check_access, check_store, check_log):
        assert worst(check(settings)) is State.OK
    assert list(tmp_path.iterdir()) == []


def test_segments_that_are_set_aside_are_a_fault(home):
    folder = home / "spool" / "dead-letter"
    folder.mkdir(parents=True)
    (folder / "w-00000000.segment").write_bytes(b"odd")
    assert worst(check_home(settings_of(home))) is State.FAULT


def test_a_home_that_others_may_read_is_a_warning_with_the_command_that_mends_it(home):
    home.chmod(0o755)
    (found,) = [each for each in check_home(settings_of(home)) if each.state is State.WARNING]
    assert found.advice == f"chmod 700 {home}"


def test_a_full_disk_is_a_fault(home, monkeypatch):
    monkeypatch.setattr("gateway.cli.doctor.home._LEAST_FREE_BYTES", 1 << 60)
    assert worst(check_home(settings_of(home))) is State.FAULT


@pytest.mark.parametrize(
    ("check", "given", "words"),
    [
        (check_store, {"store": "mysql://localhost"}, "POINTSMAN_STORE"),
        (check_store, {"store": "redis://127.0.0.1:1/0"}, "127.0.0.1:1"),
        (check_registry, {"registry": "/nowhere/at/all"}, "/nowhere/at/all"),
        (check_registry, {"registry": "ftp://models"}, "ftp"),
        (check_log, {"log": "s3://"}, "names no bucket"),
        (check_access, {"unit_secret_file": "/nowhere/key"}, "/nowhere/key"),
        (check_access, {"token_keys_file": "/nowhere/keys"}, "/nowhere/keys"),
        (check_access, {"tls_certificate": "/nowhere.pem"}, "tls"),
    ],
)
def test_what_cannot_be_used_is_a_fault_that_names_it(home, check, given, words):
    (found,) = [each for each in check(settings_of(home, **given)) if each.state is State.FAULT]
    assert words.lower() in found.sentence.lower()
    assert found.advice


def test_a_store_that_others_may_share_wants_shared_keys(home):
    found = list(check_access(settings_of(home, store="redis://127.0.0.1:1/0")))
    assert sum(each.subject == "keys" and each.state is State.WARNING for each in found) == 2


def test_the_command_prints_findings_and_fails_for_a_fault_only(home, tmp_path):
    well = CliRunner().invoke(app, ["doctor", "--home", str(home), "--json"])
    assert well.exit_code == 0, well.output
    assert {each["subject"] for each in json.loads(well.stdout)} >= {"machine", "home", "store", "registry", "log"}
    ill = CliRunner().invoke(app, ["doctor", "--home", str(tmp_path / "new")])
    assert ill.exit_code == 1
    assert "1 to mend" in ill.stdout
