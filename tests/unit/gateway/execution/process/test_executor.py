"""A version in a process of its own: it may crash, hang or be stopped, and is there again a little later."""

import asyncio
import os
import signal
import time

import numpy as np
import pytest

from gateway.errors import TooLate
from runtimes.datatypes import NUMPY_OF, tensor_of_bytes
from runtimes.errors import InputRefused, ModelFailed, ModelRefused
from tests.support.polling import wait_until_async
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
    answer,
    ask,
    child_of,
    children,
    descriptors,
    lanes_of,
    publish_echo,
    publish_estimator,
    running,
    settled,
)


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    """Require that no test leaves a process, a zombie or a descriptor behind."""
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
    """Lanes with one lane of the moody model, on a running loop."""

    def run(test, **options):
        root, version = moody

        async def body():
            lanes = lanes_of(root, **options)
            try:
                await test(lanes, await asyncio.to_thread(lanes.lane, version, "process"))
            finally:
                await asyncio.to_thread(lanes.close)
                await asyncio.sleep(0.01)  # what the keepers have told the loop

        running(body)

    return run


def test_it_answers_and_its_requests_are_batched(opened):
    async def test(lanes, lane):
        assert [tensor.tolist() for tensor in await answer(lane, 1, 2)] == [[3.0]]
        jobs = [ask(lane, number, 1) for number in range(100)]
        assert [(await settled(job))[0].tolist() for job in jobs] == [[number + 1.0] for number in range(100)]
        assert lane.statistics.runs < 10
        assert 0 < lane.executor.pace.expected_s(1) < 5

    opened(test)


def test_one_request_that_the_model_raises_on_is_refused_alone(opened):
    async def test(lanes, lane):
        jobs = [ask(lane, 1, 1), ask(lane, RAISE, 1), ask(lane, 2, 1)]
        first, odd, last = [await settled(job) for job in jobs]
        assert (first[0].tolist(), last[0].tolist()) == ([2.0], [3.0])
        assert isinstance(odd, InputRefused)
        assert "in no mood" in str(odd)

    opened(test)


@pytest.mark.parametrize("datatypes", [sorted(NUMPY_OF.keys() - {"BF16"}), ["BF16", "FP32"]])
def test_every_datatype_passes(tmp_path, datatypes):
    async def body():
        version, lanes = publish_echo(tmp_path, *datatypes), lanes_of(tmp_path)
        lane = await asyncio.to_thread(lanes.lane, version, "process")
        inputs = {f"x{name}": np.array([[0, 1]]).astype(NUMPY_OF[name]) for name in datatypes}
        if "xBYTES" in inputs:
            inputs["xBYTES"] = tensor_of_bytes([b"", "\N{SNOWMAN}".encode()], (1, 2))
        twice = [await settled(lane.submit(inputs, 1)) for _ in range(2)]
        for answered in twice:
            for sent, received in zip(inputs.values(), answered, strict=True):
                assert (sent.dtype, sent.tolist()) == (received.dtype, received.tolist())
        await asyncio.to_thread(lanes.close)
        await asyncio.sleep(0.01)

    running(body)


@pytest.mark.parametrize(("number", "ended"), [(CRASH, r"signal 11"), (LEAVE, r"status 3")])
def test_a_process_that_ends_fails_what_it_had_and_is_started_again(opened, number, ended):
    async def test(lanes, lane):
        before, child = child_of(lane).pid, lane.executor._keeper.child
        jobs = [ask(lane, number, 1), ask(lane, 1, 1)]
        for job in jobs:
            error = await settled(job)
            assert isinstance(error, ModelFailed)
            assert f"Its process ended ({ended}); it is being started again." in str(error)
        meanwhile = await answer(lane)
        assert isinstance(meanwhile, ModelFailed)
        assert lane.executor._keeper.child is None  # it was answered before the next process was there
        await wait_until_async(lambda: lane.executor._keeper.child)
        assert child_of(lane).pid != before
        child.kill()  # which is nobody any more, or somebody else
        assert (await answer(lane))[0].tolist() == [3.0]

    opened(test)


def test_a_process_that_somebody_kills_under_load_fails_no_more_than_what_it_had(opened):
    async def test(lanes, lane):
        for _ in range(2):
            jobs = [ask(lane, number, 1) for number in range(200)]
            await settled(jobs[0])
            child_of(lane).send_signal(signal.SIGKILL)
            outcomes = [await settled(job) for job in jobs]
            assert not isinstance(outcomes[0], Exception)
            assert {type(each) for each in outcomes} <= {list, ModelFailed}
            assert any("signal 9" in str(each) for each in outcomes if isinstance(each, ModelFailed))
            await wait_until_async(lambda: lane.executor._keeper.child)

    opened(test)


@pytest.mark.parametrize("how", ["sleeps", "stopped", "holds the interpreter's lock"])
def test_a_process_that_hangs_is_killed_and_started_again(opened, how):
    async def test(lanes, lane):
        child = child_of(lane)
        if how == "stopped":
            child.send_signal(signal.SIGSTOP)
        job = ask(lane, {"sleeps": SLEEP, "stopped": 1}.get(how, HOLD), 1)
        error = await settled(job)
        assert isinstance(error, ModelFailed)
        assert "did not answer in time and was killed" in str(error)
        assert isinstance(await answer(lane), ModelFailed)
        await wait_until_async(lambda: lane.executor._keeper.child)
        assert not child.is_running()
        assert (await answer(lane))[0].tolist() == [3.0]

    opened(test, hang_after_s=2)


def test_a_request_whose_deadline_passes_is_answered_then_whatever_the_process_does(opened):
    async def test(lanes, lane):
        late = ask(lane, SLEEP, 1, within_s=0.2)
        await asyncio.sleep(0.05)
        waiting = ask(lane, 1, 1, within_s=0.1)
        assert isinstance(await settled(waiting), TooLate)
        assert isinstance(await settled(late), TooLate)
        now_s = time.perf_counter()
        assert lane.executor._limit_s(1, now_s + 0.2, now_s) == pytest.approx(1, abs=0.1)
        assert lane.executor._limit_s(1, now_s + 2, now_s) == pytest.approx(10, abs=0.1)
        # After five times the time the process is killed, long before the model would wake up.
        await wait_until_async(lambda: lane.executor.has_room(1), within_s=30)

    opened(test)


def test_large_tensors_pass_while_the_loop_goes_on(opened):
    async def test(lanes, lane):
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


def test_a_shadow_and_a_primary_of_one_version_share_nothing_and_the_shadow_yields_the_processor(opened, moody):
    async def test(lanes, lane):
        with pytest.raises(ModelRefused, match="m:1 is being started"):
            lanes.lane(moody[1], "process", True)
        await wait_until_async(lanes.has_news)
        shadow = lanes.lane(moody[1], "process", True)
        assert lanes.lane(moody[1], "process") is lane
        assert child_of(shadow).pid != child_of(lane).pid
        here = os.nice(0)
        assert [(await answer(each, NICE, 0))[0].tolist() for each in (lane, shadow)] == [[here], [10]]
        assert (await answer(lane, THREADS, 0))[0].tolist() == [1]
        assert isinstance(await answer(shadow, CRASH, 1), ModelFailed)
        assert (await answer(lane))[0].tolist() == [3.0]

    opened(test)


def test_a_lane_that_no_route_uses_ends_its_process_once_nobody_has_used_it_for_a_while(opened):
    async def test(lanes, lane):
        child = child_of(lane)
        lanes.retain(set())
        assert (await answer(lane))[0].tolist() == [3.0]  # by a request that began before
        lanes._leaving[0]._used_s -= 31
        running_batch = ask(lane, 1, 1)
        await asyncio.sleep(0)
        lanes.retain(set())
        assert (await settled(running_batch))[0].tolist() == [2.0]
        assert child.is_running()
        lanes._leaving[0]._used_s -= 31
        await asyncio.to_thread(lanes.retain, set())
        assert not child.is_running()
        assert lanes._leaving == []
        assert isinstance(await answer(lane), ModelFailed)

    opened(test)


@pytest.mark.parametrize("number", [SLEEP, HOLD])
def test_the_process_of_a_replica_that_dies_does_not_outlive_it_even_if_its_model_hangs(opened, number):
    async def test(lanes, lane):
        child, job = child_of(lane), ask(lane, number, 1)
        await asyncio.sleep(0.2)  # the model has begun
        os.close(lane.executor._keeper.child._life)  # as the kernel does it
        lane.executor._keeper.child._life = -1
        assert isinstance(await settled(job), ModelFailed)
        await wait_until_async(lambda: not child.is_running())

    opened(test)


def refusal(root, version, **options) -> str:
    lanes = lanes_of(root, **options)
    try:
        with pytest.raises(ModelRefused) as refused:
            lanes.lane(version, "process")
    finally:
        lanes.close()
    return str(refused.value)


def test_what_cannot_be_loaded_is_refused_with_the_reason(tmp_path):
    version = publish_estimator(tmp_path, "no estimator")
    assert "m:1: " in refusal(tmp_path, version)
    assert "'str' object has no attribute 'predict'" in refusal(tmp_path, version)
    publish_estimator(tmp_path, Moody())
    assert "another artifact as m:1 than the one that is wanted" in refusal(tmp_path, version)
    crashing = publish_estimator(tmp_path, Unloadable(sleeps=False))
    assert "Its process ended (signal 11) while it was loading the model" in refusal(tmp_path, crashing)
    sleeping = publish_estimator(tmp_path, Unloadable(sleeps=True))
    assert "Its process had not loaded it after 4 s" in refusal(tmp_path, sleeping, open_within_s=4)


def test_what_cannot_be_loaded_is_not_tried_again_at_once(tmp_path, monkeypatch):
    version = publish_estimator(tmp_path, "no estimator")
    lanes = lanes_of(tmp_path)
    with pytest.raises(ModelRefused):
        lanes.lane(version, "process")
    with monkeypatch.context() as patched:
        patched.setattr("gateway.execution.process.supervisor.ChildProcess", pytest.fail)
        with pytest.raises(ModelRefused, match="no attribute 'predict'"):
            lanes.lane(version, "process")
    monkeypatch.setattr("gateway.execution.lane_pool._RETRY_AFTER_S", 0.0)
    good = publish_estimator(tmp_path, Moody())
    lanes.lane(good, "process")
    lanes.close()
