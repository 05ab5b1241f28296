"""Python code on the loop is broken off by another thread, and nothing else of the loop is."""

import contextlib
import subprocess
import sys
import threading
import time
import weakref

import pytest

from gateway.errors import BadRequest, BrokenOff
from gateway.eventloop.interruption import Interruption
from tests.support.paths import ROOT
from tests.support.polling import PATIENCE_S, wait_until


def spin(for_s: float = PATIENCE_S) -> str:
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        pass
    return "ended"


def broken_off_by(interruption: Interruption) -> threading.Thread:
    """Start a thread that breaks off what this thread runs next."""
    loops_thread = threading.get_ident()

    def aim() -> None:
        number = wait_until(lambda: interruption.running)
        assert interruption.break_off(loops_thread, number)

    thread = threading.Thread(target=aim)
    thread.start()
    return thread


def test_a_loop_in_python_is_broken_off():
    interruption = Interruption()
    thread = broken_off_by(interruption)
    with pytest.raises(BrokenOff):
        interruption.run(spin)
    thread.join()
    assert interruption.running == 0
    assert interruption.run(spin, 0.01) == "ended"  # and nothing is left of it


_TRACED = """
import sys
from tests.unit.gateway.eventloop.test_interruption import Interruption, broken_off_by, spin

interruption = Interruption()
for _ in range(3):
    thread = broken_off_by(interruption)
    try:
        interruption.run(spin)
    except Exception as error:
        print(type(error).__name__)
    thread.join()
sys.settrace(lambda *_: None)
print(interruption.run(lambda: "called"))
"""


def test_the_interpreter_looks_for_no_exception_afterwards():
    """If it did, a call under `sys.settrace` would never begin, and each other call would be slower."""
    done = subprocess.run([sys.executable, "-c", _TRACED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [*3 * ["BrokenOff"], "called"], done.stderr


def test_code_that_catches_every_exception_is_broken_off_as_well():
    def catching() -> None:
        for _ in range(10):
            with contextlib.suppress(Exception):
                spin()

    interruption = Interruption()
    thread = broken_off_by(interruption)
    with pytest.raises(BrokenOff):
        interruption.run(catching)
    thread.join()


def test_results_and_errors_come_out_as_they_are():
    def fail() -> None:
        raise BadRequest("no")

    interruption = Interruption()
    assert interruption.run(max, 1, 2) == 2
    with pytest.raises(BadRequest, match="no"):
        interruption.run(fail)
    assert interruption.running == 0


def test_the_inputs_of_work_that_failed_are_freed_at_once():
    class Body:
        pass

    def fail(_: Body) -> None:
        raise BadRequest("no")

    body = Body()
    freed = weakref.ref(body)
    with pytest.raises(BadRequest):
        Interruption().run(fail, body)
    del body
    assert freed() is None


def test_work_within_work_has_a_number_of_its_own():
    interruption = Interruption()

    def outer() -> tuple[int, int, int]:
        before = interruption.running
        return before, interruption.run(lambda: interruption.running), interruption.running

    before, within, after = interruption.run(outer)
    assert before == after != within


def test_work_that_has_ended_cannot_be_broken_off():
    interruption, loops_thread, aimed = Interruption(), threading.get_ident(), []
    number = interruption.run(lambda: interruption.running)
    thread = threading.Thread(target=lambda: aimed.append(interruption.break_off(loops_thread, number)))
    thread.start()
    thread.join()
    assert aimed == [False]
    assert interruption.run(spin, 0.01) == "ended"


def test_whenever_it_is_broken_off_nothing_but_the_work_is():
    """Another thread aims all the time. Each piece ends as it should or is broken off; what lies between never is."""
    interruption, loops_thread, stop = Interruption(), threading.get_ident(), threading.Event()
    hits = []

    def aim() -> None:
        while not stop.is_set():
            number = interruption.running
            if number and interruption.break_off(loops_thread, number):
                hits.append(number)
            time.sleep(0)

    def work(size: int) -> int:
        return sum(range(size)) + len(list(range(size % 50)))

    thread = threading.Thread(target=aim)
    thread.start()
    outcomes = {"ended": 0, "broken off": 0}
    try:
        until_s = time.monotonic() + 3
        while time.monotonic() < until_s:
            for size in range(0, 20_000, 100):
                try:
                    assert interruption.run(work, size) == work(size)
                    outcomes["ended"] += 1
                except BrokenOff:
                    outcomes["broken off"] += 1
                assert interruption.running == 0
    finally:
        stop.set()
        thread.join()
    assert min(outcomes.values()) > 0
    assert outcomes["broken off"] <= len(hits)
