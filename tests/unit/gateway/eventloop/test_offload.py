"""Work in threads whose outcome comes back to the loop."""

import asyncio
import threading

import pytest

from gateway.errors import BadRequest
from gateway.eventloop.driver import run_in_task
from gateway.eventloop.offload import Offload


def outcome_of(work):
    async def run():
        return await run_in_task(await_(Offload().run(work)))

    async def await_(pending):
        return await pending

    return asyncio.run(run())


def test_work_runs_in_a_thread_and_its_value_comes_back():
    here = threading.get_ident()
    assert outcome_of(lambda: threading.get_ident() != here)


def test_an_error_comes_back_too():
    def fail():
        raise BadRequest("no")

    with pytest.raises(BadRequest, match="no"):
        outcome_of(fail)


def test_the_loop_goes_on_meanwhile():
    async def run():
        released = threading.Event()
        pending = Offload().run(released.wait)
        await asyncio.sleep(0)
        assert not pending.settled
        released.set()
        while not pending.settled:
            await asyncio.sleep(0.001)
        return pending.result()

    assert asyncio.run(run())


def test_what_ends_after_its_loop_is_dropped():
    released = threading.Event()
    offload = Offload()

    async def run():
        return offload.run(released.wait)

    pending = asyncio.run(run())
    released.set()
    offload._pool.shutdown()
    assert not pending.settled
