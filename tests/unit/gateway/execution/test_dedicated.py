"""Batches in a Serve application: whatever it does, each batch gets its outcomes exactly once."""

import asyncio
from typing import Any

import numpy as np

from gateway.execution.dedicated import DedicatedExecutor
from gateway.execution.latency import LatencyModel
from runtimes.errors import ModelFailed
from tests.support.polling import wait_until_async


class Remote:
    """An application whose calls return or raise when the test says so."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[Any]] = []

    async def __call__(self, *_: Any) -> Any:
        self.calls.append(asyncio.get_running_loop().create_future())
        return await self.calls[-1]


def start(remote: Remote) -> tuple[DedicatedExecutor, list[Any]]:
    executor, got = DedicatedExecutor(remote, LatencyModel(0.001), max_rows=8, processes=1), []
    executor.start({"X": np.zeros((1, 1))}, [1], None, lambda outcomes, _: got.append(outcomes))
    return executor, got


def test_if_an_application_raises_each_request_fails_and_there_is_room_again():
    async def run() -> None:
        remote = Remote()
        executor, got = start(remote)
        await wait_until_async(lambda: remote.calls)
        remote.calls[0].set_exception(OSError("the process died"))
        await wait_until_async(lambda: got)
        assert [type(outcome) for outcome in got[0]] == [ModelFailed]
        assert executor._running == 0

    asyncio.run(run())


def test_the_outcomes_of_an_application_are_handed_on_once():
    async def run() -> None:
        remote = Remote()
        executor, got = start(remote)
        await wait_until_async(lambda: remote.calls)
        assert executor._running == 1
        remote.calls[0].set_result(["answer"])
        await wait_until_async(lambda: got)
        assert (got, len(remote.calls), executor._running) == ([["answer"]], 1, 0)

    asyncio.run(run())
