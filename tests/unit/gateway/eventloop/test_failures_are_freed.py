"""What a request holds is freed when it fails, not when Python looks for cycles, which it seldom does in a replica."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.eventloop.driver import Driver, Pending, run_in_task
from gateway.eventloop.offload import Offload
from gateway.execution.job import Job
from gateway.execution.latency import LatencyModel
from gateway.execution.paces import Pace
from runtimes.batching import run_isolated
from runtimes.errors import ModelFailed
from runtimes.manifest import Signature, TensorSpec
from tests.support.polling import wait_until


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def awaited(pending):
    return await pending


async def driven(work):
    over = asyncio.Event()
    Driver(work, lambda _: over.set(), lambda _: over.set()).step()
    await over.wait()


async def in_a_task(work):
    with contextlib.suppress(BadRequest, ModelFailed):
        await run_in_task(work)


@pytest.mark.parametrize("run", [driven, in_a_task])
def test_work_in_a_thread_that_fails_is_freed(run):
    seen = []

    def fail():
        body = np.zeros(10)
        seen.append(weakref.ref(body))
        raise BadRequest("no")

    async def main():
        await run(awaited(Offload().run(fail)))

    asyncio.run(main())
    wait_until(lambda: seen[0]() is None)


@pytest.mark.parametrize("run", [driven, in_a_task])
def test_a_job_whose_model_fails_is_freed(run):
    inputs = {"X": np.zeros(10)}
    seen = weakref.ref(inputs["X"])

    async def main(inputs):
        job = Job(inputs, 1, None, 0.0, Pace(LatencyModel(0.0)))
        del inputs
        asyncio.get_running_loop().call_soon(job.fail, ModelFailed("no"))
        await run(awaited(job))

    work = main(inputs)
    del inputs
    asyncio.run(work)
    assert seen() is None


def test_an_error_is_raised_once_and_not_kept():
    pending: Pending[int] = Pending()
    pending.fail(BadRequest("no"))
    with pytest.raises(BadRequest, match="no"):
        pending.result()
    assert pending._error is None


def test_the_inputs_of_a_model_that_fails_are_freed():
    inputs = {"X": np.zeros((1, 10))}
    seen = weakref.ref(inputs["X"])

    class Failing:
        signature = Signature(inputs=(TensorSpec("X", "FP64", (-1, -1)),), outputs=(TensorSpec("Y", "FP64", (-1, -1)),))

        def run(self, _inputs, _outputs):
            try:
                raise ValueError("no")
            except ValueError as error:
                raise ModelFailed("no") from error

    def outcomes_of(inputs):
        outcomes = run_isolated(Failing(), inputs, [1], ["Y"])
        return str(outcomes[0])

    assert outcomes_of(inputs) == "no"
    del inputs
    assert seen() is None
