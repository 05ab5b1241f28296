"""The replica's side: hands the rewards of a request to the companion, and waits for its answer.

The replica does nothing else for a reward. What waits is bounded, in number and in time.
"""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from gateway.companion.rewards.messages import LENGTH, MAX_BYTES, Answered, Asked, Outcome, decode_answered, frame
from gateway.companion.unix_socket import short_name
from gateway.errors import BadRequest, RewardsNotCounted
from gateway.protocols.rewards import RewardProtocol

PATIENCE_S = 5.0
"""How long a request waits for the companion, in all."""
_CONNECTIONS = 4
_MOST_WAITING = 64
_AGAIN = "Send them again: each counts once."


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def is_open(self) -> bool:
        """Return True if the companion has not closed it."""
        return not self.reader.at_eof() and not self.writer.is_closing()


class RewardsClient:
    """One per replica, used by its event loop."""

    def __init__(self, path: Path, patience_s: float = PATIENCE_S) -> None:
        self._path = path
        self._patience_s = patience_s
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)
        self._waiting = 0

    async def send(self, protocol: RewardProtocol, body: bytes, routes: Collection[str] | None) -> bytes:
        """Return the response to a request, in the form of its protocol. Call this in a task.

        Raises:
            BadRequest: the body is no list of rewards.
            RewardsNotCounted: the companion does not answer, or cannot count now.
        """
        if self._waiting >= _MOST_WAITING:
            raise RewardsNotCounted(f"{_MOST_WAITING} requests with rewards are waiting already. {_AGAIN}")
        asked = Asked(protocol, None if routes is None else tuple(routes), body)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience_s), self._free:
                answered = await self._ask(frame(asked))
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            raise RewardsNotCounted(
                f"The companion process, which counts rewards, does not answer. {_AGAIN}"
            ) from error
        finally:
            self._waiting -= 1
        if answered.outcome is Outcome.REJECTED:
            raise BadRequest(answered.content.decode())
        if answered.outcome is Outcome.NOT_COUNTED:
            raise RewardsNotCounted(f"{answered.content.decode()} {_AGAIN}")
        return answered.content

    def close(self) -> None:
        """Close the connections that no request uses."""
        while self._idle:
            self._idle.pop().writer.close()

    async def _ask(self, message: bytes) -> Answered:
        connection = await self._connection()
        try:
            connection.writer.write(message)
            await connection.writer.drain()
            (length,) = LENGTH.unpack(await connection.reader.readexactly(LENGTH.size))
            if length > MAX_BYTES:
                raise OSError("What answers is not the companion.")
            content = await connection.reader.readexactly(length)
        except BaseException:  # its answer may come when another request has the connection
            connection.writer.close()
            raise
        self._idle.append(connection)
        return decode_answered(content)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                return connection
            connection.writer.close()
        with short_name(self._path) as name:
            return _Connection(*await asyncio.open_unix_connection(name))
