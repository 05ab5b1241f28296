"""The watchdog ends a process whose event loop hangs, and no other."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

from gateway.replica.watchdog import Watchdog
from tests.support.polling import PATIENCE_S

LIMIT_S = 0.15


class Ended:
    """Stands for the end of the process. Notes for how long the loop was silent."""

    def __init__(self) -> None:
        self.silent_s: list[float] = []
        self.event = threading.Event()

    def __call__(self, silent_s: float) -> None:
        self.silent_s.append(silent_s)
        self.event.set()


def watch(behave: Callable[[Ended], Awaitable[None]], limit_s: float = LIMIT_S) -> list[float]:
    """Return for how long the loop was silent each time that it was ended."""
    ended = Ended()

    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), limit_s, ended)
        watchdog.start()
        await behave(ended)
        watchdog.stop()

    asyncio.run(main())
    return ended.silent_s


def test_a_loop_that_is_blocked_is_ended_once():
    async def block(ended: Ended) -> None:
        await asyncio.sleep(0.02)
        assert ended.event.wait(PATIENCE_S)  # blocks the loop: that is what is tested
        time.sleep(LIMIT_S * 2)

    (silent_s,) = watch(block)
    assert LIMIT_S < silent_s < PATIENCE_S / 2


def test_a_loop_that_turns_is_left_alone():
    limit_s = 1.0  # so that a machine that lets a thread wait for its turn is no blocked loop

    async def turn(_: Ended) -> None:
        until_s = time.monotonic() + limit_s * 3
        while time.monotonic() < until_s:
            time.sleep(limit_s / 10)  # busy, but not for too long at a time
            await asyncio.sleep(0)

    assert watch(turn, limit_s) == []


def test_a_watchdog_that_was_stopped_ends_nothing():
    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), LIMIT_S, ended.append)
        watchdog.start()
        watchdog.stop()
        time.sleep(LIMIT_S * 2)  # blocks the loop after the watchdog was stopped

    ended: list[float] = []
    asyncio.run(main())
    assert ended == []
