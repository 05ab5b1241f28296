"""Runs one replica in this process, without Ray: for laptops and fast tests."""

import asyncio
import os
import signal
import threading
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


_STOP_S = 30.0
"""How long the replica may take to stop once it has answered its requests. The companion writes the log meanwhile."""
_LAST_S = 5.0
"""How long the interpreter may take to end after the replica. It would wait for ever for a thread that hangs in a model
or waits for a version to load."""


async def _serve(settings: Settings, on_ready: Callable[[], None]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    replica, ending = Replica(settings), asyncio.ensure_future(ended.wait())
    starting = asyncio.ensure_future(replica.start())
    try:
        await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            on_ready()
            await ending
    finally:
        starting.cancel()
        code = 0 if ended.is_set() else 1
        _end_after(settings.drain_s + _STOP_S, code)
        await asyncio.wait((starting,))
        await replica.stop()
        _end_after(_LAST_S, code)


def _end_after(within_s: float, code: int) -> None:
    """End the process after this time, whatever hangs."""
    last = threading.Timer(within_s, os._exit, (code,))
    last.daemon = True
    last.start()
