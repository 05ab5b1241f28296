"""Frames through a socket that takes and gives any number of bytes."""

import asyncio
import socket
import threading

import numpy as np
import pytest

from gateway.execution.process.frames import RunBatch, frame
from gateway.execution.process.wire import Wire, receive, send
from tests.support.polling import wait_until_async
from tests.unit.gateway.execution.process.support import running


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class End:
    """The event loop's end of a connection, and what it has received."""

    def __init__(self, connection) -> None:
        self.got, self.ends = [], 0
        self.wire = Wire(connection, lambda *each: self.got.append(each), self._ended)

    def _ended(self):
        self.ends += 1


@pytest.mark.parametrize("rows", [0, 1, 100, 300_000])
def test_each_side_receives_what_the_other_sends(pair, rows):
    async def run():
        end = End(pair[0])
        tensor = np.arange(rows * 2, dtype=np.float64).reshape(rows, 2)

        def echo():
            for _ in range(3):
                send(pair[1], frame(*receive(pair[1])))

        other = threading.Thread(target=echo)
        other.start()
        for number in range(3):
            end.wire.send(frame(RunBatch((number,), ("X",)), [tensor]))
        await wait_until_async(lambda: len(end.got) == 3)
        other.join()
        assert [message.rows for message, _ in end.got] == [(0,), (1,), (2,)]
        assert all(np.array_equal(tensors[0], tensor) for _, tensors in end.got)
        end.wire.close()

    running(run)


def test_frames_may_come_in_pieces_or_together(pair):
    async def run():
        end = End(pair[0])
        content = b"".join(frame(RunBatch((1,), ("X",)), [np.ones((2, 2))]))
        for start in range(0, len(content), 7):
            pair[1].sendall(content[start : start + 7])
            await asyncio.sleep(0)
        pair[1].sendall(content * 2)
        await wait_until_async(lambda: len(end.got) == 3)
        end.wire.close()

    running(run)


def test_a_side_that_does_not_read_does_not_block_the_other(pair):
    async def run():
        end = End(pair[0])
        tensor = np.zeros(1_000_000)
        end.wire.send(frame(RunBatch((1,), ("X",)), [tensor]))
        end.wire.send(frame(RunBatch((2,), ("X",)), [tensor]))
        await asyncio.sleep(0)
        assert end.wire._unsent
        other = threading.Thread(target=lambda: [receive(pair[1]) for _ in range(2)])
        other.start()
        await wait_until_async(lambda: not end.wire._unsent)
        other.join()
        assert not asyncio.get_running_loop().remove_writer(pair[0])  # a writer that stays is called for ever
        end.wire.close()

    running(run)


@pytest.mark.parametrize("content", [b"", b"\x05", b"\xff" * 12, b"\x01\0\0\0\x10\0\0\0\0\0\0\0" + b"\xc1" * 16])
def test_ended_is_called_once_if_the_other_side_closes_or_sends_no_frame(pair, content):
    async def run():
        end = End(pair[0])
        pair[1].sendall(content)
        pair[1].shutdown(socket.SHUT_WR)
        await wait_until_async(lambda: end.ends)
        end.wire.send(frame(RunBatch((1,), ())))
        await asyncio.sleep(0)
        assert (end.got, end.ends) == ([], 1)

    running(run)


def test_ended_is_called_if_the_other_side_is_closed_while_sending(pair):
    async def run():
        end = End(pair[0])
        pair[1].close()
        end.wire.send(frame(RunBatch((1,), ("X",)), [np.zeros(1_000_000)]))
        await wait_until_async(lambda: end.ends)
        assert end.ends == 1

    running(run)


def test_receive_returns_none_if_the_other_side_closes(pair):
    pair[1].sendall(b"\x05")
    pair[1].close()
    assert receive(pair[0]) is None
