"""Background jobs keep running whatever one of them raises, and trouble is logged once until it is over."""

import threading
import time

import pytest
from structlog.testing import capture_logs

from gateway.telemetry.periodic import LogOnce, PeriodicJob, run_every, run_once

NAMES = ("first", "second", "third")


class Bench:
    """Three jobs that note when they run. Those in `fails` raise. The thread stops after `stop_after` rounds."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: set[str] = set()
        self.stop = threading.Event()
        self.stop_after = 1
        self.jobs = [PeriodicJob(lambda name=name: self._tick(name), f"test.{name}.failed") for name in NAMES]

    def _tick(self, name: str) -> None:
        self.done.append(name)
        if self.done.count(NAMES[0]) >= self.stop_after:
            self.stop.set()
        if name in self.fails:
            raise RuntimeError(f"A fault of {name}.")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_jobs_run_in_order_until_stop_is_set(bench):
    bench.stop_after = 3
    run_every(bench.stop, 0.0, *bench.jobs)
    assert bench.done == [*NAMES] * 3


def test_no_job_runs_after_stop_was_set(bench):
    bench.stop.set()
    run_every(bench.stop, 0.0, *bench.jobs)
    assert bench.done == []


def test_the_first_run_comes_after_the_first_pause(bench):
    began_s = time.monotonic()
    run_every(bench.stop, 0.02, *bench.jobs)
    assert time.monotonic() - began_s >= 0.02
    assert bench.done == [*NAMES]


def test_a_stop_ends_a_long_pause_at_once(bench):
    thread = threading.Thread(target=run_every, args=(bench.stop, 3600.0, *bench.jobs))
    thread.start()
    bench.stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert bench.done == []


@pytest.mark.parametrize("name", NAMES)
def test_an_exception_is_logged_and_stops_neither_the_other_jobs_nor_the_next_round(bench, name):
    bench.fails, bench.stop_after = {name}, 2
    with capture_logs() as lines:
        run_every(bench.stop, 0.0, *bench.jobs)
    assert bench.done == [*NAMES] * 2
    assert [(line["event"], line["log_level"], line["exc_info"]) for line in lines] == [
        (f"test.{name}.failed", "error", True)
    ] * 2


def test_an_exit_is_not_caught(bench):
    def leave() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        run_once(PeriodicJob(leave, "test.failed"), *bench.jobs)
    assert bench.done == []


def test_trouble_is_logged_when_it_begins_and_again_after_it_was_over():
    once = LogOnce("test.failed")
    with capture_logs() as lines:
        for trouble in ("", "Away.", "Away.", "Still away.", "", "", "Away again."):
            once.note(trouble)
            assert once.trouble == trouble
    assert [(line["event"], line["log_level"], line["error"]) for line in lines] == [
        ("test.failed", "warning", "Away."),
        ("test.failed", "warning", "Away again."),
    ]


def test_the_end_of_trouble_is_logged_once_where_it_has_an_event():
    once = LogOnce("test.failed", over="test.answers")
    with capture_logs() as lines:
        for trouble in ("", "Away.", "Still away.", "", ""):
            once.note(trouble)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("test.failed", "warning"),
        ("test.answers", "info"),
    ]
