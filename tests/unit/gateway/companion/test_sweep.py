"""What machines that are gone have left is counted and shipped once, and their homes are removed."""

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.companion.completeness import Completeness, noted_name
from gateway.companion.sweep import NotShared, abandoned, sweep
from gateway.settings import Settings
from inference_log.spool import DEAD_LETTER, take_seat
from store.open import open_store
from tests.unit.gateway.companion.support import write


@pytest.fixture
def homes(tmp_path) -> Path:
    (tmp_path / "homes").mkdir()
    return tmp_path / "homes"


def settings_of(homes: Path, name: str = "pod-1", **more: str) -> Settings:
    """Return the settings of a machine whose store and log others share."""
    shared = {"store": f"sqlite:///{homes.parent / 'store.db'}", "log": str(homes.parent / "log")}
    return Settings(home=homes / name, **{**shared, **more}).resolved()


def leave(settings: Settings) -> None:
    """Leave two segments, as a machine that was lost, and the name under which it has written its watermark."""
    take_seat(settings.spool).release()
    write(settings, 0, 1)
    write(settings, 0, 2)
    Completeness(settings, lambda: False)._note_name()


def swept(settings: Settings, within_s: float = 60.0):
    store = open_store(settings.store)
    try:
        return sweep(settings, store, within_s=within_s)
    finally:
        store.close()


def test_what_a_lost_machine_left_is_shipped_and_its_home_removed(homes):
    settings = settings_of(homes)
    leave(settings)
    name = noted_name(settings.spool)
    found = swept(settings)
    assert (found.shipped, found.left, found.removed, found.trouble) == (2, 0, True, "")
    assert not settings.home.exists()
    assert len(list(Path(settings.log).glob("audit/**/*.parquet"))) == 2
    (said,) = Path(settings.log).glob("_watermarks/*")
    assert said.stem == name
    assert json.loads(said.read_text())["has_ended"] is True


def test_a_home_that_is_used_or_was_used_shortly_before_is_left_alone(homes):
    for name in ("held", "young", "old"):
        leave(settings_of(homes, name))
    seat = take_seat(homes / "held" / "spool")
    for path in [*homes.rglob("*")]:
        if "young" not in path.parts:
            os.utime(path, (0, time.time() - 700))
    (homes / "no-home").mkdir()
    assert [home.name for home in abandoned(homes, 600, time.time())] == ["old"]
    seat.release()
    assert {home.name for home in abandoned(homes, 0, time.time() + 1)} == {"held", "young", "old"}


def test_segments_stay_while_the_log_does_not_take_them(homes):
    settings = settings_of(homes)
    leave(settings)
    Path(settings.log).write_text("a file where a folder should be")
    found = swept(settings)
    assert (found.shipped, found.left, found.removed) == (0, 2, False)
    assert found.trouble
    Path(settings.log).unlink()
    assert swept(settings).removed


def test_segments_that_were_set_aside_keep_their_home(homes):
    settings = settings_of(homes)
    leave(settings)
    bad = write(settings, 0, 3)
    bad.write_bytes(b"\xff" * 64)
    (settings.spool / DEAD_LETTER).mkdir()
    bad.rename(settings.spool / DEAD_LETTER / bad.name)
    found = swept(settings)
    assert (found.shipped, found.left, found.set_aside, found.removed) == (2, 0, 1, False)


@pytest.mark.parametrize("own", [{"store": ""}, {"log": ""}])
def test_a_home_that_holds_a_store_or_a_log_is_not_touched(homes, own):
    settings = settings_of(homes, **own)
    leave(settings)
    store = open_store(settings_of(homes).store)
    with pytest.raises(NotShared, match="would be removed with it"):
        sweep(settings, store, within_s=1.0)
    store.close()
    assert len(list(settings.spool.glob("0/*.segment"))) == 2


def test_the_command_says_what_became_of_each_home(homes, monkeypatch):
    settings = settings_of(homes)
    leave(settings)
    monkeypatch.setenv("POINTSMAN_STORE", settings.store)
    monkeypatch.setenv("POINTSMAN_LOG", settings.log)
    run = CliRunner().invoke(app, ["log", "sweep", str(homes), "--idle-min", "0", "--json"])
    assert run.exit_code == 0, run.output
    assert [(each["shipped"], each["removed"]) for each in json.loads(run.stdout)] == [(2, True)]
    again = CliRunner().invoke(app, ["log", "sweep", str(homes)])
    assert (again.exit_code, again.stdout) == (0, "No machine that is gone has left anything.\n")
    assert CliRunner().invoke(app, ["log", "sweep", str(homes / "nowhere")]).exit_code == 2
