"""Waiting for something that happens elsewhere: in a thread, in another process, or later on the event loop.

A limit is only reached when something is broken. So it is generous, and a slow machine does not reach it either.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0
_OFTEN_S, _SELDOM_S = 0.02, 0.1
"""The pause between two tries within the first second, and later. Each try takes time from what it waits for."""

Value = TypeVar("Value")


def wait_until(
    is_true: Callable[[], Value],
    *,
    within_s: float = PATIENCE_S,
    retried: type[Exception] | tuple[type[Exception], ...] = (),
    shows: Callable[[], object] | None = None,
) -> Value:
    """Poll until `is_true` returns something true, and return that.

    Errors of the types `retried` mean "not yet". What `shows` returns becomes part of the failure's message, so it
    should be what a developer wants to see next: a status, the output of a process.
    """
    began_s, last = time.monotonic(), ""
    while True:
        try:
            value = is_true()
        except retried as error:
            last = f"raised {error!r}"
        else:
            if value:
                return value
            last = f"returned {value!r}"
        waited_s = time.monotonic() - began_s
        if waited_s > within_s:
            more = f"\n{shows()}" if shows is not None else ""
            raise AssertionError(f"It did not become true within {within_s} s: the last try {last}.{more}")
        time.sleep(_OFTEN_S if waited_s < 1 else _SELDOM_S)


async def wait_until_async(is_true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Let the event loop go on until `is_true` returns something true."""
    until_s = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < until_s, f"It did not become true within {within_s} s."
        await asyncio.sleep(0.002)
