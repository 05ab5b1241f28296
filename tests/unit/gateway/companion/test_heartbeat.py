"""A heartbeat goes on whatever fails, and stops where nothing is done any more."""

import threading
from types import SimpleNamespace

from structlog.testing import capture_logs

from gateway.companion.heartbeat import Heartbeat
from tests.support.polling import PATIENCE_S


def test_a_heartbeat_that_fails_goes_on_silently():
    beats, third = [], threading.Event()

    def heartbeat() -> None:
        beats.append(1)
        if len(beats) == 3:
            third.set()
        raise OSError("No disk.")

    with capture_logs() as lines:
        beating = Heartbeat(SimpleNamespace(heartbeat=heartbeat), every_s=0.001)
        assert third.wait(PATIENCE_S)
        beating.stop()
    assert (len(beats) >= 3, lines) == (True, [])
    given = len(beats)
    beating.stop()
    assert len(beats) == given


def test_a_process_that_does_nothing_any_more_gives_none():
    """Others then end it: it holds the lock that the next one needs."""
    beats, asked = [], threading.Event()
    beating = Heartbeat(SimpleNamespace(heartbeat=lambda: beats.append(1)), every_s=0.05)
    beating.is_working = lambda: bool(asked.set())
    assert asked.wait(PATIENCE_S)
    given = len(beats)
    asked.clear()
    assert asked.wait(PATIENCE_S)
    beating.stop()
    assert len(beats) == given
