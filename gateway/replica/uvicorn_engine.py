"""Runs one replica in this process, without Ray: for laptops and fast tests."""

import asyncio
import signal
from collections.abc import Callable

import uvloop

from gateway.replica.replica import Replica
from gateway.settings import Settings
from gateway.telemetry.logs import configure_logs


def run(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        OSError: another process holds the port.
    """
    configure_logs()
    uvloop.run(_serve(settings, on_ready))


async def _serve(settings: Settings, on_ready: Callable[[], None]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    replica = Replica(settings)
    try:
        await replica.start()
        on_ready()
        await ended.wait()
    finally:
        await replica.stop()
