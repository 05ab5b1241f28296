"""Batches in an application elsewhere: whatever it does, each batch has its outcomes, and once."""

import asyncio
from typing import Any

import numpy as np
import pytest

from gateway.execution.dedicated import DedicatedExecutor
from gateway.execution.latency import LatencyModel
from runtimes.errors import ModelFailed
from tests.support.polling import wait_until_async


class Remote:
    """Does, call by call, what a test wants: answers, or raises, once it is told to."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[Any]] = []

    async def __call__(self, *_: Any) -> Any:
        self.calls.append(asyncio.get_running_loop().create_future())
        return await self.calls[-1]


def start(remote: Remote, processes: int) -> tuple[DedicatedExecutor, list[Any]]:
    executor, got = DedicatedExecutor(remote, LatencyModel(0.001), max_rows=8, processes=processes), []
    executor.start({"X": np.zeros((1, 1))}, [1], None, lambda outcomes, _: got.append(outcomes))
    return executor, got


def test_an_application_that_raises_has_failed_each_request_and_makes_room():
    async def run() -> None:
        remote = Remote()
        executor, got = start(remote, processes=1)
        await wait_until_async(lambda: remote.calls)
        remote.calls[0].set_exception(OSError("the process died"))
        await wait_until_async(lambda: got)
        assert [type(outcome) for outcome in got[0]] == [ModelFailed]
        assert executor._running == 0

    asyncio.run(run())


@pytest.mark.parametrize("first_fails", [0, 1])
def test_of_two_attempts_that_end_together_the_one_that_answers_counts(first_fails):
    async def run() -> None:
        remote = Remote()
        _, got = start(remote, processes=2)
        await wait_until_async(lambda: len(remote.calls) == 2)  # the first one took long
        remote.calls[first_fails].set_exception(OSError("the process died"))
        remote.calls[1 - first_fails].set_result(["answer"])
        await wait_until_async(lambda: got)
        assert got == [["answer"]]

    asyncio.run(run())


def test_two_attempts_that_both_fail_have_failed():
    async def run() -> None:
        remote = Remote()
        _, got = start(remote, processes=2)
        await wait_until_async(lambda: len(remote.calls) == 2)
        for call in remote.calls:
            call.set_exception(OSError("the process died"))
        await wait_until_async(lambda: got)
        assert [type(outcome) for outcome in got[0]] == [ModelFailed]

    asyncio.run(run())
