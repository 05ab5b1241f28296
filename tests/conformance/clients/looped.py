"""For clients that are asynchronous: an event loop that stays, and calls that wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")

_LOOP = asyncio.new_event_loop()


def wait(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine on the loop. Return its value."""
    return _LOOP.run_until_complete(asyncio.wait_for(work, 60))


async def made(make: Any) -> Any:
    """Call `make` on the loop. Return its value."""
    return make()
