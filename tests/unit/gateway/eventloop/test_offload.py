"""Work in threads whose outcome comes back to the loop."""

import asyncio
import threading
import weakref
from functools import partial

import numpy as np
import pytest

from gateway.errors import BadRequest
from gateway.eventloop.driver import run_in_task
from gateway.eventloop.offload import LARGE_BYTES, Offload


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


def test_a_single_job_of_another_client_waits_for_one_job_at_most():
    async def run():
        offload, released, order = Offload(threads=1), threading.Event(), []
        many = [offload.run(released.wait, "many", 1)]
        many += [offload.run(partial(order.append, number), "many", 1) for number in range(32)]
        single = offload.run(partial(order.append, "single"), "one", 2)
        released.set()
        while not (single.settled and all(each.settled for each in many)):
            await asyncio.sleep(0.001)
        return order

    assert asyncio.run(run())[:3] == [0, "single", 1]


def test_work_that_nothing_awaits_any_more_is_not_begun():
    async def run():
        offload, released, begun = Offload(threads=1), threading.Event(), []
        first = offload.run(released.wait)
        waiting = [offload.run(partial(begun.append, number)) for number in range(3)]
        waiting[1].abandon()
        released.set()
        while not (first.settled and waiting[2].settled):
            await asyncio.sleep(0.001)
        return begun

    assert asyncio.run(run()) == [0, 2]


def test_a_turn_of_the_loop_works_on_so_many_bytes_and_the_next_one_again():
    async def run():
        offload = Offload()
        turns = []
        for _ in range(2):
            turns.append([offload.allows_here(LARGE_BYTES - 1) for _ in range(24)])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(run()) == [[True] * 16 + [False] * 8] * 2


def test_what_follows_a_job_comes_before_the_jobs_that_wait():
    begun = []

    async def run():
        offload, begin = Offload(), threading.Event()

        async def request(number):
            await offload.run(partial(job, f"parse {number}"), connection=number)
            await offload.run(partial(job, f"decode {number}"), connection=number)

        def job(name):
            begin.wait()
            begun.append(name)

        requests = [asyncio.ensure_future(run_in_task(request(number))) for number in range(3)]
        await asyncio.sleep(0)
        begin.set()
        await asyncio.gather(*requests)

    asyncio.run(run())
    assert begun == [f"{step} {number}" for number in range(3) for step in ("parse", "decode")]


def test_what_failed_work_held_is_freed_before_the_loop_gets_its_error():
    seen = []

    def parse():
        text = np.zeros(10)
        seen.append(weakref.ref(text))
        raise ValueError("no number")

    def fail():
        body = np.zeros(10)
        seen.append(weakref.ref(body))
        try:
            parse()
        except ValueError as error:
            raise BadRequest("no") from error

    with pytest.raises(BadRequest, match="no") as raised:
        outcome_of(fail)
    assert [each() for each in seen] == [None, None]
    assert raised.value.__cause__ is not None
