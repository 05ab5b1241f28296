"""A process whose event loop hangs in C.

python -m tests.unit.gateway.replica.wedged batch|decoder|connection HOME
"""

import asyncio
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop

from gateway.eventloop.driver import run_in_task
from gateway.execution.wedged_versions import FOLDER, WedgedVersions
from gateway.inference.live_table import LiveTableHolder
from gateway.inference.service import InferenceService
from gateway.replica.watchdog import Watchdog
from tests.support.live_tables import SIGNATURE, join_live
from tests.unit.gateway.inference.support import Bench

_LIMIT_S = 0.5
_HANGS_S = 60.0


class Sleeping:
    """A model that hangs in C."""

    signature = SIGNATURE
    unbatched_because = ""

    def run(self, inputs: Any, outputs: Any) -> Any:  # noqa: ARG002  # the Protocol's
        """See `runtimes.runtime.Runtime.run`."""
        return hang()


class SleepingConnection(asyncio.Protocol):
    """A connection that hangs when bytes arrive."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  # the Protocol's
        """Hang."""
        hang()


def hang(*_: Any) -> Any:
    """Be in one call of C for a minute."""
    time.sleep(_HANGS_S)


async def _batch(bench: Bench) -> None:
    await bench.ask(join_live({"a": Sleeping()}))


async def _decoder(bench: Bench) -> None:
    holder = LiveTableHolder()
    holder.current = join_live({"a": Sleeping()})
    service = InferenceService(
        holder, bench.predictor, SimpleNamespace(), None, secret=b"s" * 16, max_in_flight=2, max_instances=5
    )
    await run_in_task(service.infer("r", {}, hang, decision_id="d1", started_s=time.perf_counter()))


async def _connection(_: Bench) -> None:
    server = await asyncio.get_running_loop().create_server(SleepingConnection, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.sendall(b"x")
        await asyncio.sleep(_HANGS_S)


async def _main(place: str, home: Path) -> None:
    loop, wedged = asyncio.get_running_loop(), WedgedVersions(home / FOLDER)
    Watchdog(loop, _LIMIT_S, blame=wedged.add).start()
    bench = Bench(home, asyncio.new_event_loop)
    await {"batch": _batch, "decoder": _decoder, "connection": _connection}[place](bench)


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], Path(sys.argv[2])))
