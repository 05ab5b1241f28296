"""The look at the connections of a port, once a second. Their time limits cost the request path nothing."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

_LOOK_S = 1.0
_LOOKS_A_TURN = 256


class Looked(Protocol):
    """A connection that ends what takes too long."""

    def look(self, now_s: float) -> None:
        """End what takes too long. `now_s` is of the event loop's clock, which is `time.monotonic`."""


async def look_at(connections: Callable[[], Iterable[Looked]]) -> None:
    """Look at the connections once a second, at so many in one turn of the loop that it is not held up."""
    while True:
        await asyncio.sleep(_LOOK_S)
        await look_once(connections)


async def look_once(connections: Callable[[], Iterable[Looked]]) -> None:
    """Look at each connection once."""
    now_s = asyncio.get_running_loop().time
    for number, connection in enumerate(list(connections())):
        if number % _LOOKS_A_TURN == 0:
            await asyncio.sleep(0)
        connection.look(now_s())
