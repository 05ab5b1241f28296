"""What clients that are asynchronous need: a loop that stays, and calls that wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")

_LOOP = asyncio.new_event_loop()


def wait(work: Coroutine[Any, Any, Value]) -> Value:
    """The coroutine's value."""
    return _LOOP.run_until_complete(asyncio.wait_for(work, 60))


async def made(make: Any) -> Any:
    """What `make` makes, within the loop."""
    return make()
