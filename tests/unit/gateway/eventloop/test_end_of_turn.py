"""The end of a turn: first work and the work that it adds, then the writes, in order."""

import asyncio
from collections.abc import Callable

import pytest
import structlog.testing

from gateway.eventloop.end_of_turn import EndOfTurn


class Transport:
    """A transport that notes what is written to it."""

    def __init__(self, notes: list[str], name: str) -> None:
        self._notes, self._name = notes, name

    def write(self, content: bytes) -> None:
        self._notes.append(f"{self._name}:{content.decode()}")


def turned(begin: Callable[[EndOfTurn, list[str]], None], turns: int = 1) -> list[str]:
    """Return the notes after some turns of the loop."""
    notes: list[str] = []

    async def run() -> list[str]:
        begin(EndOfTurn(), notes)
        notes.append("begun")
        for _ in range(turns):
            await asyncio.sleep(0)
        return notes.copy()

    return asyncio.run(run())


def test_nothing_happens_before_the_end_of_the_turn():
    assert turned(lambda turn, notes: turn.call(lambda: notes.append("work")), turns=0) == ["begun"]
    assert turned(lambda turn, notes: turn.call(lambda: notes.append("work"))) == ["begun", "work"]


def test_work_added_during_work_runs_in_the_same_turn_and_writes_come_after_in_order():
    def begin(turn: EndOfTurn, notes: list[str]) -> None:
        one, two = Transport(notes, "one"), Transport(notes, "two")

        def first() -> None:
            notes.append("first")
            turn.write(one, b"b")
            turn.call(third)

        def third() -> None:
            notes.append("third")
            turn.write(two, b"d")

        turn.write(one, b"a")
        turn.call(first)
        turn.call(lambda: notes.append("second"))
        turn.write(two, b"c")

    assert turned(begin) == ["begun", "first", "second", "third", "one:a", "two:c", "one:b", "two:d"]


def test_what_is_added_later_is_done_in_a_later_turn():
    notes: list[str] = []

    async def run() -> None:
        turn, wire = EndOfTurn(), Transport(notes, "wire")
        for number in range(3):
            turn.write(wire, b"%d" % number)
            notes.append("begun")
            await asyncio.sleep(0)

    asyncio.run(run())
    assert notes == ["begun", "wire:0", "begun", "wire:1", "begun", "wire:2"]


def test_a_flush_writes_at_once_and_only_once():
    def begin(turn: EndOfTurn, notes: list[str]) -> None:
        turn.write(Transport(notes, "wire"), b"x")
        turn.flush()

    assert turned(begin) == ["wire:x", "begun"]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_work_that_raises_stops_neither_other_work_nor_writes(position):
    def fail() -> None:
        raise RuntimeError("a bug")

    def begin(turn: EndOfTurn, notes: list[str]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: notes.append(str(context["exception"])))
        work = [lambda: notes.append("work"), lambda: notes.append("work")]
        work.insert(position, fail)
        for each in work:
            turn.call(each)
        turn.write(Transport(notes, "wire"), b"x")

    notes = turned(begin, turns=3)
    assert sorted(notes) == ["a bug", "begun", "wire:x", "work", "work"]


def test_a_transport_that_raises_stops_no_other_write():
    class Broken(Transport):
        is_closed = True

        def write(self, content: bytes) -> None:
            raise RuntimeError(f"{content.decode()} cannot be written")

        def is_closing(self) -> bool:
            return self.is_closed

    class Faulty(Broken):
        is_closed = False

    def begin(turn: EndOfTurn, notes: list[str]) -> None:
        for wire in (Broken(notes, "gone"), Faulty(notes, "faulty"), Transport(notes, "wire")):
            turn.write(wire, b"x")

    with structlog.testing.capture_logs() as logs:
        assert turned(begin) == ["begun", "wire:x"]
    assert [log["event"] for log in logs] == ["gateway.turn.write_failed"]  # not for the closed transport
