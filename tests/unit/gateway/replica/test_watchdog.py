"""The watchdog ends a process that hangs, and no other."""

import asyncio
import time

from gateway.replica.watchdog import Watchdog

LIMIT_S = 0.15


def watch(behave) -> list[float]:
    """Return how long the loop had been silent when the process was ended; empty if it was not ended."""
    ended: list[float] = []

    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), LIMIT_S, ended.append)
        watchdog.start()
        await behave()
        watchdog.stop()

    asyncio.run(main())
    return ended


def test_a_loop_that_is_blocked_is_ended_once():
    async def block() -> None:
        await asyncio.sleep(0.02)
        time.sleep(LIMIT_S * 3)  # blocks the loop, on purpose

    (silent_s,) = watch(block)
    assert LIMIT_S < silent_s < LIMIT_S * 3


def test_a_loop_that_turns_is_left_alone():
    async def turn() -> None:
        until_s = time.monotonic() + LIMIT_S * 3
        while time.monotonic() < until_s:
            time.sleep(LIMIT_S / 10)  # busy, but never for long at a time
            await asyncio.sleep(0)

    assert watch(turn) == []


def test_a_watchdog_that_was_stopped_ends_nothing():
    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), LIMIT_S, ended.append)
        watchdog.start()
        watchdog.stop()
        time.sleep(LIMIT_S * 2)  # blocks the loop after the watchdog was stopped

    ended: list[float] = []
    asyncio.run(main())
    assert ended == []
