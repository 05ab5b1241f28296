"""Sends a Redis what many clients would send it: bytes that the store's own code has written, at given rates.

A child process sends, over a few connections, and drops the replies. It does not wait for them, so commands of several
clients may arrive together. That takes the server less time than when each comes alone.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch

from redis.connection import AbstractConnection

_CONNECTIONS = 16
_STEP_S = 0.01
_FAR_US = 10**13


class Part(NamedTuple):
    """Messages of one kind, one after the other, so many a second."""

    messages: list[bytes]
    per_second: float


def record(do: Callable[[], object]) -> bytes:
    """Return what the store sends while it does something. Its writes stay valid, however late they arrive."""
    sent: list[bytes] = []
    send = AbstractConnection.send_packed_command

    def note(connection: AbstractConnection, command: bytes | list[bytes], check_health: bool = True) -> None:
        sent.extend([command] if isinstance(command, bytes) else command)
        send(connection, command, check_health)  # type: ignore[no-untyped-call]  # redis-py's

    with (
        patch.object(AbstractConnection, "send_packed_command", note),
        patch("store.redis.connection._TIMEOUT_US", _FAR_US),
    ):
        do()
    return b"".join(sent)


@contextmanager
def replayed(port: int, parts: list[Part]) -> Iterator[None]:
    """Send the parts during the block."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(port, parts), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _run(port: int, parts: list[Part]) -> None:
    asyncio.run(_send(port, parts))


class _Drop(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        """Drop replies."""


async def _send(port: int, parts: list[Part]) -> None:
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(_Drop, "127.0.0.1", port) for _ in range(_CONNECTIONS)]
    began_s, sent = time.monotonic(), [0] * len(parts)
    while True:
        await asyncio.sleep(_STEP_S)
        passed_s = time.monotonic() - began_s
        for number, part in enumerate(parts):
            while sent[number] < passed_s * part.per_second:
                transport, _ = opened[(sent[number] + number) % _CONNECTIONS]
                transport.write(part.messages[sent[number] % len(part.messages)])
                sent[number] += 1
