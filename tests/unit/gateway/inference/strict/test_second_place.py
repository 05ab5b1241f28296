"""Requests that wait share an answer, each gives up in time, and the process is started, killed and replaced."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.errors import Overloaded, RowNotConfirmed
from gateway.eventloop.driver import Pending
from gateway.inference.strict import second_place as module
from gateway.inference.strict.acknowledge import Task
from gateway.inference.strict.second_place import SecondPlace
from inference_log.strict.acknowledge import Question, Reply
from tests.support.polling import PATIENCE_S


class Child:
    """A process that the test answers for."""

    made: list["Child"]

    def __init__(self, *_: object, **__: object) -> None:
        self.connection, self.theirs = socket.socketpair()
        self.theirs.settimeout(PATIENCE_S)
        self.killed = self.ended = False
        Child.made.append(self)

    def kill(self) -> None:
        self.killed = self.ended = True

    def has_ended(self) -> bool:
        return self.ended

    def wait(self) -> str:
        return "It ended"

    def close(self) -> None:
        self.connection.close()

    def say(self, reply: Reply) -> None:
        self.theirs.sendall(msgspec.json.encode(reply) + b"\n")

    def asked(self) -> Question:
        return msgspec.json.decode(self.theirs.recv(4096), type=Question)

    def was_asked(self) -> bool:
        self.theirs.setblocking(False)
        try:
            return bool(self.theirs.recv(4096, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self.theirs.settimeout(PATIENCE_S)


class Clock:
    """The clock of the thread that looks after the process."""

    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    perf_counter = staticmethod(time.perf_counter)


@pytest.fixture
def clock(monkeypatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    monkeypatch.setattr(module, "ChildProcess", Child)
    monkeypatch.setattr(module, "_AGAIN_AFTER_S", 0.0)
    Child.made = []
    yield made
    for child in Child.made:
        child.connection.close()
        child.theirs.close()


class Waiter:
    """A place, its writer and its loop."""

    def __init__(self) -> None:
        self.writer = SimpleNamespace(position=(0, 0), next_number=0)
        self.place = SecondPlace(self.writer, Task("s3://logs", "", "folder", "w"), 3)  # type: ignore[arg-type]
        self.place.begin(asyncio.get_running_loop())

    async def started(self) -> Child:
        self.place.look(is_needed=True)
        Child.made[-1].say(Reply(-1, 0))
        await until(lambda: self.place.is_ready)
        return Child.made[-1]

    def confirm(self, end: int, within_s: float = PATIENCE_S, segment: int = 0, first: int = 0) -> Pending[None]:
        self.writer.position = (segment, end)
        return self.place.confirm(first, time.perf_counter() + within_s)


async def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.001)


def in_loop(work: Callable[..., Any]) -> Callable[..., None]:
    def run(clock: Clock, *arguments: Any) -> None:
        asyncio.run(work(clock, *arguments))

    return run


async def _share(clock: Clock) -> None:
    waiter = Waiter()
    child = await waiter.started()
    pending = [waiter.confirm(end) for end in (100, 200, 300)]
    assert child.asked() == Question(0, 0, 100)
    assert not child.was_asked()
    child.say(Reply(0, 100))
    await until(lambda: pending[0].settled)
    assert not pending[1].settled
    assert child.asked() == Question(0, 0, 300)
    child.say(Reply(0, 300))
    await until(lambda: pending[2].settled)
    assert all(each.result() is None for each in pending)
    waiter.place.close()


test_those_that_came_while_one_was_asked_share_the_next_answer = in_loop(_share)


async def _segments(clock: Clock) -> None:
    waiter = Waiter()
    child = await waiter.started()
    waiter.confirm(500, segment=1, first=1)
    both = waiter.confirm(50, segment=2, first=1)
    child.asked()
    child.say(Reply(1, 500))
    await until(child.was_asked)
    assert child.asked() == Question(1, 2, 50)
    child.say(Reply(2, 50))
    await until(lambda: both.settled)
    waiter.place.close()


test_a_request_whose_rows_are_in_two_segments_waits_for_both = in_loop(_segments)


async def _late(clock: Clock) -> None:
    waiter = Waiter()
    child = await waiter.started()
    late, patient = waiter.confirm(100, within_s=0.01), waiter.confirm(200)
    await until(lambda: late.settled)
    with pytest.raises(RowNotConfirmed, match="Send the request again"):
        late.result()
    assert child.asked() == Question(0, 0, 100)
    child.say(Reply(0, 100))
    await until(child.was_asked)
    assert child.asked() == Question(0, 0, 200)
    child.say(Reply(0, 200))
    await until(lambda: patient.settled)
    assert patient.result() is None
    waiter.place.close()


test_one_that_gives_up_does_not_hold_up_the_others = in_loop(_late)


async def _refused(clock: Clock) -> None:
    waiter = Waiter()
    child = await waiter.started()
    pending = waiter.confirm(100)
    assert child.asked() == Question(0, 0, 100)
    child.say(Reply(0, 0, "SlowDown."))
    await until(child.was_asked)
    assert not pending.settled
    assert child.asked() == Question(0, 0, 100)
    child.say(Reply(0, 100))
    await until(lambda: pending.settled)
    assert pending.result() is None
    waiter.place.close()


test_what_was_not_taken_is_asked_again = in_loop(_refused)


async def _ended(clock: Clock) -> None:
    waiter = Waiter()
    child = await waiter.started()
    pending = waiter.confirm(100)
    child.asked()
    child.theirs.close()
    child.ended = True
    await until(lambda: not waiter.place.is_ready)
    clock.now_s += module._RAN_LONG_S + 1
    following = await waiter.started()
    assert following is not child
    await until(following.was_asked)
    following.say(Reply(0, 100))
    await until(lambda: pending.settled)
    assert pending.result() is None
    assert child.connection.fileno() == -1
    waiter.place.close()


test_when_the_process_has_ended_the_next_one_is_asked = in_loop(_ended)


async def _hangs(clock: Clock) -> None:
    waiter = Waiter()
    child = await waiter.started()
    waiter.confirm(100)
    clock.now_s += module._SILENT_S - 1
    waiter.place.look(is_needed=True)
    assert not child.killed
    clock.now_s += 2
    waiter.place.look(is_needed=True)
    assert child.killed
    assert len(Child.made) == 2
    clock.now_s += module._SILENT_S + 1
    waiter.place.look(is_needed=True)
    assert Child.made[1].killed  # it has not said that it is ready
    waiter.place.close()


test_a_process_that_does_not_answer_is_killed = in_loop(_hangs)


async def _idle(clock: Clock) -> None:
    waiter = Waiter()
    waiter.place.look(is_needed=False)
    assert Child.made == []
    child = await waiter.started()
    clock.now_s += 10 * module._SILENT_S
    waiter.place.look(is_needed=True)
    assert not child.killed
    waiter.place.close()
    assert child.killed


test_it_is_started_when_it_is_needed_and_may_have_nothing_to_do = in_loop(_idle)


async def _soon(clock: Clock) -> None:
    waiter = Waiter()
    (await waiter.started()).ended = True
    waiter.place.look(is_needed=True)
    assert len(Child.made) == 1
    clock.now_s += module._PAUSE_S
    waiter.place.look(is_needed=True)
    assert len(Child.made) == 2
    waiter.place.close()


test_one_that_ends_at_once_is_not_started_again_at_once = in_loop(_soon)


async def _many(clock: Clock) -> None:
    waiter = Waiter()
    for end in (100, 200, 300):
        assert waiter.place.require_room() == 0
        waiter.confirm(end)
    with pytest.raises(Overloaded, match="3 requests wait"):
        waiter.place.require_room()
    waiter.place.close()


test_only_so_many_may_wait = in_loop(_many)


def test_the_task_names_the_writer_and_its_folder():
    task = Task("s3://logs/p", "key", str(Path("/spool/0")), "w")
    assert msgspec.json.decode(msgspec.json.encode(task), type=Task) == task
