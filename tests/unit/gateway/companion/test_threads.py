"""Threads end together; the one that watches other processes goes on whatever fails."""

import threading
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.companion import threads
from gateway.companion.threads import ThreadGroup, watch_processes


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(threads, "_FENCE_EVERY_S", 0.0)


@pytest.mark.parametrize(("error", "level"), [(OSError("No spool."), "warning"), (RuntimeError("A fault."), "error")])
def test_a_fence_that_fails_is_logged_and_looks_again(stop, error, level):
    times = []

    def look(now_s: float) -> None:
        times.append(now_s)
        if len(times) == 3:
            stop.set()
        raise error

    with capture_logs() as lines:
        watch_processes(stop, SimpleNamespace(look=look))
    assert [(line["event"], line["log_level"]) for line in lines] == [("gateway.fence.failed", level)] * 3


def test_the_threads_of_a_group_end_together_and_are_waited_for():
    group, ended = ThreadGroup(), []

    def run(stop: threading.Event, name: str) -> None:
        assert threading.current_thread().name == f"thread {name}"
        assert threading.current_thread().daemon
        stop.wait()
        ended.append(name)

    for name in "ab":
        group.start(f"thread {name}", run, name)
    group.stop()
    assert sorted(ended) == ["a", "b"]
