"""The companion says what its machine has shipped, and closes days in a process of its own."""

import json
import threading
from pathlib import Path

import pytest

from gateway.companion import completeness
from gateway.companion.completeness import Completeness, machine_name
from gateway.settings import Settings
from inference_log.completeness.days import days_before
from inference_log.completeness.marker import marker_key
from tests.support.polling import wait_until
from tests.unit.gateway.companion.support import home, write


@pytest.fixture
def settings(tmp_path) -> Settings:
    return home(tmp_path)


def said(settings: Settings) -> dict:
    path = Path(settings.log) / "_watermarks" / f"{machine_name(settings.spool)}.json"
    return json.loads(path.read_text())


def test_the_watermark_stands_before_what_waits_and_goes_on_after_it(settings):
    path = write(settings, 0, 1)  # a change at the beginning of 1970
    job = Completeness(settings, lambda: True)
    job.tick()
    assert (said(settings)["shipped_until_us"], said(settings)["waiting"]) == (0, 1)
    path.unlink()
    job.tick()
    assert said(settings)["shipped_until_us"] == said(settings)["at_us"] > 0


@pytest.mark.parametrize("is_last", [True, False])
def test_only_the_last_companion_of_a_machine_says_that_it_has_ended(settings, is_last):
    job = Completeness(settings, lambda: is_last)
    stop = threading.Event()
    stop.set()
    job.run(stop)
    assert said(settings)["has_ended"] is is_last


def test_segments_that_are_left_are_no_end(settings):
    write(settings, 0, 1)
    Completeness(settings, lambda: True).finish()
    assert said(settings)["has_ended"] is False


def test_a_log_that_cannot_be_written_is_logged_and_tried_again(settings):
    Path(settings.log).write_text("a file where a folder should be")
    job = Completeness(settings, lambda: True)
    job.tick()
    Path(settings.log).unlink()
    job.tick()
    assert said(settings)["waiting"] == 0


def test_a_day_that_is_over_is_closed_by_a_process(settings, monkeypatch):
    monkeypatch.setattr(completeness, "_DAYS", 1)
    monkeypatch.setattr(completeness, "_NOT_BEFORE_S", 0.0)
    monkeypatch.setattr(completeness, "_SPREAD_S", 1)
    now_us = 1_800_000_000_000_000
    monkeypatch.setattr(completeness.time, "time", lambda: now_us / 1e6)
    job = Completeness(settings, lambda: False)
    (day,) = days_before(now_us, 1)

    def is_closed() -> bool:
        job.tick()
        return (Path(settings.log) / marker_key(day)).exists()

    wait_until(is_closed)
    job.finish()
