"""Counting, advancing and noting go on, whatever one of them raises, and once more at the end."""

import threading
import time
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.control.periodic import PeriodicWork

WORK = ("counter", "advancer", "audit")


class Bench:
    """A steward over three who note that they are asked; `fails` are those who raise."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.times: list[float] = []
        self.fails: set[str] = set()
        self.stop = threading.Event()
        self.stop_after = 1
        counter, advancer, audit = (SimpleNamespace(tick=self._worker(name)) for name in WORK)
        self.steward = PeriodicWork(counter, advancer, audit, every_s=0.0)

    def _worker(self, name: str):
        def tick(*now_s: float) -> None:
            self.done.append(name)
            self.times.extend(now_s)
            if self.done.count("counter") >= self.stop_after:
                self.stop.set()
            if name in self.fails:
                raise RuntimeError(f"A fault of {name}.")

        return tick


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_counted_is_looked_at_and_noted_in_this_order_and_once_more_at_the_end(bench):
    bench.stop_after = 3
    bench.steward.run(bench.stop)
    assert bench.done == [*WORK] * 4
    assert all(abs(time.time() - now_s) < 60 for now_s in bench.times)


def test_who_is_told_to_stop_at_once_counts_what_there_is(bench):
    bench.stop.set()
    bench.steward.run(bench.stop)
    assert bench.done == [*WORK]


@pytest.mark.parametrize("name", WORK)
def test_a_fault_of_one_keeps_nobody_from_his_work(bench, name):
    bench.fails, bench.stop_after = {name}, 2
    with capture_logs() as lines:
        bench.steward.run(bench.stop)
    assert bench.done == [*WORK] * 3
    assert [line["event"] for line in lines] == ["gateway.steward.failed"] * 3
