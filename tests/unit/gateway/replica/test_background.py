"""The background work of a replica goes on whatever part of it fails."""

import threading
import time
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.replica import background
from gateway.replica.background import do_upkeep, keep_signing_keys
from inference_log.disk_bound import Shed


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    for name in ("_UPKEEP_EVERY_S", "LOOK_EVERY_S"):
        monkeypatch.setattr(background, name, 0.0)


@pytest.mark.parametrize("fails", ["", "look", "read", "rotate", "place", "publish", "tick"])
def test_the_companion_the_segment_the_metrics_and_the_keys_are_seen_to_even_if_one_of_them_fails(stop, fails):
    done = []

    def part(name: str):
        def do(*arguments: float) -> SimpleNamespace:
            done.append((name, *arguments) if name != "tick" else (name, time.time() - arguments[0] < 60))
            if len(done) == 12:
                stop.set()
            if name == fails:
                raise OSError("The disk fails.")
            return SimpleNamespace(shed=Shed.ALL)

        return do

    keeper, publisher = SimpleNamespace(look=part("look")), SimpleNamespace(publish=part("publish"))
    token_keys = SimpleNamespace(tick=part("tick"))
    disk, writer = SimpleNamespace(read=part("read")), SimpleNamespace(rotate=part("rotate"), leaves_out=Shed.NOTHING)
    with capture_logs() as lines:
        do_upkeep(stop, keeper, publisher, writer, disk, token_keys, part("place"), 60.0, 1000)
    assert done == [("look",), ("read",), ("rotate", 60.0, 1000), ("place",), ("publish",), ("tick", True)] * 2
    assert writer.leaves_out is (Shed.NOTHING if fails == "read" else Shed.ALL)
    assert len(lines) == (2 if fails else 0)


def test_signing_keys_are_looked_at_by_the_monotonic_clock_until_the_stop(stop):
    times = []

    def tick(now_s: float) -> None:
        times.append(now_s)
        if len(times) == 2:
            stop.set()

    keep_signing_keys(stop, SimpleNamespace(tick=tick))
    assert all(0 <= time.monotonic() - now_s < 60 for now_s in times)
    keep_signing_keys(stop, SimpleNamespace(tick=tick))  # after the stop nothing is read any more
    assert len(times) == 2
