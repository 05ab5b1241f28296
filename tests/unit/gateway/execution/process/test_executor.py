"""A version in a process of its own, which may crash, hang or be stopped, and is started again."""

import asyncio
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from gateway.errors import TooLate
from gateway.eventloop.end_of_turn import EndOfTurn
from gateway.execution.lane_pool import LanePool
from gateway.execution.open_in_replica import LaneOptions
from gateway.execution.process.model import ProcessOptions
from registry_sync.background import in_daemon_thread
from registry_sync.memory_budget import MemoryBudget
from registry_sync.version import Tried
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes
from runtimes.errors import InputRefused, ModelFailed, ModelRefused, StillLoading
from runtimes.load_options import LoadOptions
from tests.support.components import by_hand, in_soak
from tests.support.polling import wait_until, wait_until_async
from tests.unit.gateway.execution.process.support import (
    CRASH,
    HOLD,
    LEAVE,
    NICE,
    RAISE,
    SLEEP,
    THREADS,
    Moody,
    Unloadable,
    child_of,
    children,
    descriptors,
    pool_of,
    predict,
    publish_echo,
    publish_estimator,
    running,
    settled,
    submit,
)


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    """Fail if a test leaves a process, a zombie or a descriptor behind."""
    monkeypatch.setattr("gateway.execution.process.supervisor.FIRST_PAUSE_S", 0.05)
    running(lambda: asyncio.sleep(0))  # the first loop opens a pipe that stays
    before = descriptors()
    yield
    assert children() == []
    assert descriptors() - before == set()


@pytest.fixture(scope="module")
def moody(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return root, publish_estimator(root, Moody())


@pytest.fixture
def opened(moody):
    """Return a function that runs a test with a pool and a lane of the moody model, on a running loop."""

    def run(test, **options):
        root, version = moody

        async def body():
            pool = pool_of(root, **options)
            try:
                await test(pool, await asyncio.to_thread(pool.lane, version, "process"))
            finally:
                await asyncio.to_thread(pool.close)
                await asyncio.sleep(0.01)  # for callbacks that the supervisors have scheduled

        running(body)

    return run


def test_it_answers_and_batches_requests(opened):
    async def test(pool, lane):
        assert [tensor.tolist() for tensor in await predict(lane, 1, 2)] == [[3.0]]
        jobs = [submit(lane, number, 1) for number in range(100)]
        assert [(await settled(job))[0].tolist() for job in jobs] == [[number + 1.0] for number in range(100)]
        assert lane.statistics.runs < 10
        assert 0 < lane.executor.latency.expected_s(1) < 5

    opened(test)


def test_only_the_request_that_the_model_raises_on_is_refused(opened):
    async def test(pool, lane):
        jobs = [submit(lane, 1, 1), submit(lane, RAISE, 1), submit(lane, 2, 1)]
        first, odd, last = [await settled(job) for job in jobs]
        assert (first[0].tolist(), last[0].tolist()) == ([2.0], [3.0])
        assert isinstance(odd, InputRefused)
        assert "in no mood" in str(odd)

    opened(test)


@pytest.mark.parametrize("datatypes", [sorted(NUMPY_OF.keys() - {"BF16"}), ["BF16", "FP32"]])
def test_every_datatype_passes(tmp_path, datatypes):
    async def body():
        version, pool = publish_echo(tmp_path, *datatypes), pool_of(tmp_path)
        lane = await asyncio.to_thread(pool.lane, version, "process")
        inputs = {f"x{name}": np.array([[0, 1]]).astype(NUMPY_OF[name]) for name in datatypes}
        if "xBYTES" in inputs:
            inputs["xBYTES"] = tensor_of_bytes([b"", "\N{SNOWMAN}".encode()], (1, 2))
        twice = [await settled(lane.submit(inputs, 1)) for _ in range(2)]
        for outputs in twice:
            for sent, received in zip(inputs.values(), outputs, strict=True):
                assert (sent.dtype, sent.tolist()) == (received.dtype, received.tolist())
        await asyncio.to_thread(pool.close)
        await asyncio.sleep(0.01)

    running(body)


@pytest.mark.parametrize(("number", "ended"), [(CRASH, r"signal 11"), by_hand(LEAVE, r"status 3")])
def test_if_the_process_ends_its_requests_fail_and_it_is_started_again(opened, number, ended):
    async def test(pool, lane):
        before, child = child_of(lane).pid, lane.executor.supervisor.child
        jobs = [submit(lane, number, 1), submit(lane, 1, 1)]
        for job in jobs:
            error = await settled(job)
            assert isinstance(error, ModelFailed)
            assert f"Its process ended ({ended}); it is being started again." in str(error)
        meanwhile = await predict(lane)
        assert isinstance(meanwhile, ModelFailed)
        assert lane.executor.supervisor.child is None  # it was answered before the next process was there
        await wait_until_async(lambda: lane.executor.supervisor.child)
        assert child_of(lane).pid != before
        child.kill()  # it has been reaped, and its number may belong to another process
        assert (await predict(lane))[0].tolist() == [3.0]

    opened(test)


def test_if_the_process_is_killed_under_load_only_its_requests_fail(opened):
    async def test(pool, lane):
        for _ in range(2):
            jobs = [submit(lane, number, 1) for number in range(200)]
            await settled(jobs[0])
            child_of(lane).send_signal(signal.SIGKILL)
            outcomes = [await settled(job) for job in jobs]
            assert not isinstance(outcomes[0], Exception)
            assert {type(each) for each in outcomes} <= {list, ModelFailed}
            assert any("signal 9" in str(each) for each in outcomes if isinstance(each, ModelFailed))
            await wait_until_async(lambda: lane.executor.supervisor.child)

    opened(test)


@pytest.mark.parametrize("how", ["sleeps", by_hand("stopped"), by_hand("holds the interpreter's lock")])
def test_a_process_that_hangs_is_killed_and_started_again(opened, how):
    async def test(pool, lane):
        child = child_of(lane)
        if how == "stopped":
            child.send_signal(signal.SIGSTOP)
        job = submit(lane, {"sleeps": SLEEP, "stopped": 1}.get(how, HOLD), 1)
        error = await settled(job)
        assert isinstance(error, ModelFailed)
        assert "did not answer in time and was killed" in str(error)
        assert isinstance(await predict(lane), ModelFailed)
        await wait_until_async(lambda: lane.executor.supervisor.child)
        assert not child.is_running()
        assert (await predict(lane))[0].tolist() == [3.0]

    opened(test, hang_after_s=2)


def test_a_request_whose_deadline_passes_is_answered_then_whatever_the_process_does(opened):
    async def test(pool, lane):
        late = submit(lane, SLEEP, 1, within_s=0.5)
        await asyncio.sleep(0.05)
        waiting = submit(lane, 1, 1, within_s=0.1)
        assert isinstance(await settled(waiting), TooLate)
        assert isinstance(await settled(late), TooLate)
        assert not lane.executor.has_room(1, {})  # answered while the model still sleeps, two seconds before the kill
        now_s = time.perf_counter()
        assert lane.executor._limit_s(1, now_s + 0.2, now_s) == pytest.approx(1, abs=0.1)
        assert lane.executor._limit_s(1, now_s + 2, now_s) == pytest.approx(10, abs=0.1)
        # After five times the time the process is killed, long before the model would wake up.
        await wait_until_async(lambda: lane.executor.has_room(1, {}), within_s=30)

    opened(test)


def test_large_tensors_do_not_block_the_loop(opened):
    async def test(pool, lane):
        features = np.random.default_rng(0).random((500_000, 2))
        turns, longest_s, is_done = 0, 0.0, False

        async def watch():
            nonlocal turns, longest_s
            before_s = time.thread_time()
            while not is_done:
                await asyncio.sleep(0)
                now_s = time.thread_time()  # of this thread alone, however busy the machine is
                turns, longest_s, before_s = turns + 1, max(longest_s, now_s - before_s), now_s

        watching = asyncio.ensure_future(watch())
        (tensor,) = await settled(lane.submit({"X": features}, len(features)))
        is_done = True
        await watching
        assert np.array_equal(tensor, features.sum(axis=1))
        assert tensor.flags.aligned
        assert turns > 100  # measured: thousands; a loop that waits for the process turns a few times
        assert longest_s < 0.1

    opened(test)


@in_soak
def test_a_shadow_shares_nothing_with_a_primary_and_yields_the_processor(opened, moody):
    async def test(pool, lane):
        pool._opening._start = in_daemon_thread
        with pytest.raises(StillLoading, match="loading m:1 since 0 s"):
            pool.lane(moody[1], "process", True)
        await wait_until_async(pool.has_news)
        shadow = pool.lane(moody[1], "process", True)
        assert pool.lane(moody[1], "process") is lane
        assert child_of(shadow).pid != child_of(lane).pid
        here = os.nice(0)
        assert [(await predict(each, NICE, 0))[0].tolist() for each in (lane, shadow)] == [[here], [10]]
        assert (await predict(lane, THREADS, 0))[0].tolist() == [1]
        assert isinstance(await predict(shadow, CRASH, 1), ModelFailed)
        assert (await predict(lane))[0].tolist() == [3.0]

    opened(test)


@pytest.mark.parametrize("name", ["POINTSMAN_STORE", by_hand("REDIS_URL"), by_hand("AWS_SECRET_ACCESS_KEY")])
def test_a_models_process_gets_no_password_of_the_gateway(moody, monkeypatch, name):
    monkeypatch.setenv(name, "redis://:a-secret@store")
    root, version = moody
    pool = pool_of(root)

    async def test() -> None:
        child = child_of(pool.lane(version, "process"))
        environment = child.environ()
        assert name not in environment
        assert "a-secret" not in str([environment, child.cmdline()])
        assert environment["PATH"] == os.environ["PATH"]

    try:
        running(test)
    finally:
        pool.close()


def test_a_process_that_no_route_uses_is_ended_after_a_while(opened):
    async def test(pool, lane):
        child = child_of(lane)
        pool.retain(set())
        assert (await predict(lane))[0].tolist() == [3.0]  # by a request that began before
        pool._processes._retired[0]._used_s -= 31
        running_batch = submit(lane, 1, 1)
        await asyncio.sleep(0)
        pool.retain(set())
        assert (await settled(running_batch))[0].tolist() == [2.0]
        assert child.is_running()
        pool._processes._retired[0]._used_s -= 31
        await asyncio.to_thread(pool.retain, set())
        await wait_until_async(lambda: not child.is_running())
        assert pool._processes._retired == []
        assert isinstance(await predict(lane), ModelFailed)

    opened(test)


@pytest.mark.parametrize("number", [SLEEP, by_hand(HOLD)])
def test_a_process_ends_with_its_replica_even_if_its_model_hangs(opened, number):
    async def test(pool, lane):
        child, job = child_of(lane), submit(lane, number, 1)
        await asyncio.sleep(0.2)  # the model has begun
        os.close(lane.executor.supervisor.child._pipe)  # as the kernel does when the replica dies
        lane.executor.supervisor.child._pipe = -1
        assert isinstance(await settled(job), ModelFailed)
        await wait_until_async(lambda: not child.is_running())

    opened(test)


def refusal(root, version, **options) -> str:
    pool = pool_of(root, **options)
    try:
        with pytest.raises(ModelRefused) as refused:
            pool.lane(version, "process")
    finally:
        pool.close()
    return str(refused.value)


def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason(tmp_path):
    version = publish_estimator(tmp_path, "no estimator")
    assert "m:1: " in refusal(tmp_path, version)
    assert "a str, which is no estimator of scikit-learn" in refusal(tmp_path, version)
    publish_estimator(tmp_path, Moody())
    assert "another artifact as m:1 than the one that is wanted" in refusal(tmp_path, version)
    crashing = publish_estimator(tmp_path, Unloadable(sleeps=False))
    assert "Its process ended (signal 11) while it was loading the model" in refusal(tmp_path, crashing)
    sleeping = publish_estimator(tmp_path, Unloadable(sleeps=True))
    assert "Its process had not loaded it after 4 s" in refusal(tmp_path, sleeping, open_within_s=4)


def test_a_model_that_cannot_be_loaded_is_not_tried_again_at_once(tmp_path, monkeypatch):
    version = publish_estimator(tmp_path, "no estimator")
    pool = pool_of(tmp_path)
    with pytest.raises(ModelRefused):
        pool.lane(version, "process")
    with monkeypatch.context() as patched:
        patched.setattr(
            "gateway.execution.process.supervisor.start_model", lambda *_: pytest.fail("It was started again.")
        )
        with pytest.raises(ModelRefused, match="no estimator of scikit-learn"):
            pool.lane(version, "process")
    pool._opening._retry_after_s = 0.0
    good = publish_estimator(tmp_path, Moody())
    pool.lane(good, "process")
    pool.close()


def test_a_process_takes_memory_of_the_budget_until_it_has_ended(tmp_path):
    version = replace(publish_estimator(tmp_path, Moody()), tried=Tried("max_batch is 1", 1, 60))
    processes = ProcessOptions(str(tmp_path), LoadOptions(allow_pickle=True), linger_s=0.0)
    budget, before = MemoryBudget(100), descriptors()
    pool = LanePool(EndOfTurn(), LaneOptions(2, 0.002, processes), None, budget=budget)
    try:
        lane = pool.lane(version, "process")
        assert (lane.unbatched_because, budget.taken_bytes()) == ("max_batch is 1", 60)
        with pytest.raises(StillLoading, match="m:1 waits for memory"):
            pool.lane(version, "process", is_shadow=True)
        pool.retain(set())
        assert budget.taken_bytes() == 0
    finally:
        pool.close()
    wait_until(lambda: descriptors() == before)
