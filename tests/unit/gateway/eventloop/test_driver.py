"""Coroutines driven by hand: stepped when what they await is settled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.errors import ClientGone
from gateway.eventloop.driver import Driver, Pending, run_in_task
from runtimes.errors import ModelFailed


class Recorded:
    """A coroutine with its driver, and its outcome."""

    def __init__(self, work: Coroutine[Any, None, Any]) -> None:
        self.values: list[Any] = []
        self.errors: list[BaseException] = []
        self.driver = Driver(work, self.values.append, self.errors.append)
        self.driver.step()


async def sum_of(*pendings: Pending[int]) -> int:
    total = 0
    for pending in pendings:
        total += await pending
    return total


def test_a_coroutine_resumes_at_once_when_what_it_awaits_is_settled():
    one, two = Pending[int](), Pending[int]()
    recorded = Recorded(sum_of(one, two))
    one.succeed(1)
    assert recorded.values == []
    two.succeed(2)
    assert (recorded.values, recorded.errors) == ([3], [])


def test_a_coroutine_does_not_pause_for_what_is_settled():
    one, two = Pending[int](), Pending[int]()
    one.succeed(1)
    two.succeed(2)
    assert Recorded(sum_of(one, two)).values == [3]


def test_a_failure_is_raised_where_it_is_awaited():
    async def forgiving(pending: Pending[int]) -> str:
        try:
            return str(await pending)
        except ModelFailed as error:
            return f"caught {error}"

    before, after = Pending[int](), Pending[int]()
    before.fail(ModelFailed("before"))
    assert Recorded(forgiving(before)).values == ["caught before"]
    recorded = Recorded(forgiving(after))
    after.fail(ModelFailed("after"))
    assert recorded.values == ["caught after"]


def test_what_a_coroutine_raises_is_handed_on():
    pending = Pending[int]()
    recorded = Recorded(sum_of(pending))
    error = ModelFailed("no")
    pending.fail(error)
    assert (recorded.values, recorded.errors) == ([], [error])


@pytest.mark.parametrize("first", ["succeed", "fail"])
def test_only_the_first_to_settle_counts(first):
    pending, resumed = Pending[int](), []
    pending.call_when_settled(lambda: resumed.append(True))
    if first == "succeed":
        pending.succeed(1)
    else:
        pending.fail(ModelFailed("no"))
    pending.succeed(2)
    pending.fail(ModelFailed("late"))
    assert resumed == [True]
    recorded = Recorded(sum_of(pending))
    sentences = [str(error) for error in recorded.errors]
    assert (recorded.values, sentences) == (([1], []) if first == "succeed" else ([], ["no"]))


def test_a_cancelled_coroutine_gets_client_gone_and_no_callback_is_called():
    pending, raised = Pending[int](), []

    async def work() -> int:
        try:
            return await pending
        except BaseException as error:
            raised.append(error)
            raise

    recorded = Recorded(work())
    recorded.driver.cancel()
    assert [type(error) for error in raised] == [ClientGone]
    assert pending.settled  # so that a lane does not start it
    pending.succeed(1)
    recorded.driver.cancel()
    assert (recorded.values, recorded.errors, len(raised)) == ([], [], 1)


def test_a_coroutine_that_ignores_client_gone_is_closed():
    closed = []

    async def stubborn() -> None:
        try:
            try:
                await Pending[int]()
            except ClientGone:
                await Pending[int]()
        finally:
            closed.append(True)

    Recorded(stubborn()).driver.cancel()
    assert closed == [True]


def test_cancelling_what_has_ended_changes_nothing():
    pending = Pending[int]()
    recorded = Recorded(sum_of(pending))
    pending.succeed(1)
    recorded.driver.cancel()
    assert (recorded.values, recorded.errors) == ([1], [])


def test_a_task_gets_what_the_work_returns_or_raises():
    async def run() -> None:
        good, bad = Pending[int](), Pending[int]()
        loop = asyncio.get_running_loop()
        loop.call_soon(good.succeed, 5)
        loop.call_soon(bad.fail, ModelFailed("no"))
        assert await run_in_task(sum_of(good)) == 5
        with pytest.raises(ModelFailed, match="no"):
            await run_in_task(sum_of(bad))

    asyncio.run(run())


def test_cancelling_the_task_cancels_the_work():
    async def run() -> bool:
        pending = Pending[int]()
        task = asyncio.create_task(run_in_task(sum_of(pending)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pending.settled

    assert asyncio.run(run())


@pytest.mark.parametrize("fails", [False, True])
def test_work_may_end_in_the_turn_in_which_its_task_is_cancelled(fails):
    async def run() -> None:
        pending = Pending[int]()
        task = asyncio.create_task(run_in_task(sum_of(pending)))
        await asyncio.sleep(0)
        task.cancel()
        if fails:
            pending.fail(ModelFailed("no"))  # raises nothing, though no task waits any more
        else:
            pending.succeed(1)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_an_exception_of_the_callback_does_not_reach_the_code_that_settles():
    pending, errors = Pending[int](), []

    def refuse(_: int) -> None:
        raise OSError("the connection is gone")

    Driver(sum_of(pending), refuse, errors.append).step()
    pending.succeed(1)
    assert [str(error) for error in errors] == ["the connection is gone"]


@pytest.mark.parametrize("error", [OSError("wraps ClientGone"), KeyError("a bug")])
def test_a_cancelled_coroutine_may_wrap_client_gone_but_a_bug_is_raised(error):
    async def work() -> None:
        try:
            await Pending[int]()
        except ClientGone as gone:
            raise error from (gone if isinstance(error, OSError) else None)

    recorded = Recorded(work())
    if isinstance(error, OSError):
        recorded.driver.cancel()
    else:
        with pytest.raises(KeyError):
            recorded.driver.cancel()
    assert (recorded.values, recorded.errors) == ([], [])
