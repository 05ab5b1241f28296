"""The watchdog breaks off Python code that blocks the loop, and ends a process whose event loop hangs, and no other."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gateway.errors import BrokenOff
from gateway.eventloop.driver import run_in_task
from gateway.execution.wedged_versions import FOLDER, WedgedVersions
from gateway.inference.live_table import LiveTableHolder
from gateway.inference.service import InferenceService
from gateway.protocols.request import InferenceRequest
from gateway.replica.watchdog import Watchdog
from registry_sync.version import VersionKey
from runtimes.errors import ModelFailed
from tests.support.live_tables import SIGNATURE
from tests.support.polling import PATIENCE_S
from tests.unit.gateway.inference.support import Bench, Fake

LIMIT_S = 0.15


class Ended:
    """Stands for the end of the process. Notes for how long the loop was silent."""

    def __init__(self) -> None:
        self.silent_s: list[float] = []
        self.work: list[str] = []
        self.event = threading.Event()

    def __call__(self, silent_s: float, work: str) -> None:
        self.silent_s.append(silent_s)
        self.work.append(work)
        self.event.set()


def watch(behave: Callable[[Ended], Awaitable[None]], limit_s: float = LIMIT_S) -> list[float]:
    """Return for how long the loop was silent each time that it was ended."""
    ended = Ended()

    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), limit_s, ended)
        watchdog.start()
        await behave(ended)
        watchdog.stop()

    asyncio.run(main())
    return ended.silent_s


def test_a_loop_that_is_blocked_is_ended_once():
    async def block(ended: Ended) -> None:
        await asyncio.sleep(0.02)
        assert ended.event.wait(PATIENCE_S)  # blocks the loop: that is what is tested
        time.sleep(LIMIT_S * 2)

    (silent_s,) = watch(block)
    assert LIMIT_S < silent_s < PATIENCE_S / 2


def test_a_loop_that_turns_is_left_alone():
    limit_s = 1.0  # so that a machine that lets a thread wait for its turn is no blocked loop

    async def turn(_: Ended) -> None:
        until_s = time.monotonic() + limit_s * 3
        while time.monotonic() < until_s:
            time.sleep(limit_s / 10)  # busy, but not for too long at a time
            await asyncio.sleep(0)

    assert watch(turn, limit_s) == []


def test_a_watchdog_that_was_stopped_ends_nothing():
    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), LIMIT_S, lambda silent_s, _: ended.append(silent_s))
        watchdog.start()
        watchdog.stop()
        time.sleep(LIMIT_S * 2)  # blocks the loop after the watchdog was stopped

    ended: list[float] = []
    asyncio.run(main())
    assert ended == []


@pytest.fixture
def bench(tmp_path):
    built = Bench(tmp_path)
    yield built
    built.close()


def spin() -> None:
    """Loop in Python, for much longer than any limit here."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        pass


class Looping:
    """A model that answers quickly, until it is told to loop."""

    def __init__(self) -> None:
        self.unbatched_because = ""
        self.signature = SIGNATURE
        self.loops = False
        self.threads: list[str] = []

    def run(self, inputs: Any, outputs: Any) -> Any:  # noqa: ARG002  # the Protocol's
        self.threads.append(threading.current_thread().name)
        if self.loops and not self.threads[-1].startswith("model"):
            spin()
        return [np.zeros(len(inputs["X"]), np.int64), np.zeros((len(inputs["X"]), 1), np.float32)]


def test_a_model_that_loops_in_python_is_broken_off_and_never_runs_on_the_loop_again(bench, join_live):
    runtime, other, ended, blamed = Looping(), Looping(), Ended(), []
    live = join_live({"a": runtime})
    beside = join_live({"a": other})
    runtime.loops = True

    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), 2.0, ended, blamed.append)
        watchdog.start()
        hanging = asyncio.create_task(bench.ask(live))
        answer = await asyncio.create_task(bench.ask(beside))  # a client of another model, behind it
        assert answer.tensors[0].tolist() == [0]
        with pytest.raises(ModelFailed, match="hung"):
            await hanging
        assert (await bench.ask(live)).tensors[0].tolist() == [0]
        watchdog.stop()

    bench.run(main())
    assert ended.silent_s == []
    assert {str(version) for version in blamed} == {"m:0"}
    assert runtime.threads[0] == threading.current_thread().name
    assert runtime.threads[-1].startswith("model")
    assert [row["status"] for row in bench.rows() if row["error_code"]] == [500]
    assert len(bench.rows()) == 3


@pytest.mark.parametrize("place", ["decoder", "condition"])
def test_a_request_that_loops_in_python_is_broken_off_and_others_are_answered(place, bench, join_live):
    ended, holder = Ended(), LiveTableHolder()
    live = join_live({"a": Fake(SIGNATURE, 1)})
    service = InferenceService(
        holder, bench.predictor, SimpleNamespace(), None, secret=b"s" * 16, max_in_flight=2, max_instances=5
    )
    looping = SimpleNamespace(matches=lambda *_: spin()) if place == "condition" else None
    route = replace(live.routes["r"], targeting=looping)

    async def ask(decision_id: str, decode: Any) -> Any:
        work = service.infer("r", {}, decode, decision_id=decision_id, started_s=time.perf_counter())
        return await run_in_task(work)

    def decode(_: Any) -> InferenceRequest:
        return InferenceRequest("", {}, {"X": np.ones((1, 2), np.float32)}, None, 1)

    def slowly(signature: Any) -> InferenceRequest:
        if place == "decoder":
            spin()
        return decode(signature)

    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), 2.0, ended)
        watchdog.start()
        holder.current = replace(live, routes={"r": route})
        with pytest.raises(BrokenOff):
            await ask("d1", slowly)
        holder.current = live
        assert (await ask("d2", decode)).answer.tensors[0].tolist() == [1]
        watchdog.stop()

    bench.run(main())
    assert ended.silent_s == []
    assert service.in_hand == 0


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("batch", "batch of version m:0"),
        ("decoder", "request d1 for route r"),
        ("connection", "connection from ('127.0.0.1', "),
    ],
)
def test_code_in_c_ends_the_process_and_the_last_line_names_it(place, named, tmp_path):
    """`time.sleep` is C. It comes back long after the limit, so there is nothing to break off."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.unit.gateway.replica.wedged", place, str(tmp_path)],
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    *_, line = ended.stderr.decode().splitlines()
    assert ended.returncode == 70
    assert line.startswith("gateway.replica.watchdog.wedged silent_s=")
    assert named in line
    assert "wedged.py:" in line
    version = VersionKey("m", "0", "0" * 64)
    assert WedgedVersions(tmp_path / FOLDER).holds(version) == (place == "batch")
