"""A process that runs one model version for a replica, which starts it and ends it. Acts.

    python -m gateway.execution.process.worker SOCKET LIFE OPENING

SOCKET is one end of a connection to the replica, over which frames go to and fro
(`gateway.execution.process.frames`): first this process says that the model is loaded, or why not; then it answers
batch after batch. LIFE is a pipe that the replica holds the other end of. When that is closed, be it because the
replica died, the kernel kills this process, in whatever its model is caught: a thread that watches would not get its
turn while the model keeps the interpreter's lock. OPENING says what to load.
"""

import fcntl
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence

import msgspec

from gateway.execution.process.frames import ModelLoaded, ModelNotLoaded, Opening, Part, RunBatch, frame, ran
from gateway.execution.process.wire import receive, send
from registry_sync.catalogue import VersionKey
from registry_sync.errors import RegistryError
from registry_sync.pinned import load_pinned
from runtimes.batching import Inputs, RequestResult, is_batchable, run_isolated
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest
from runtimes.runtime import Runtime


def main() -> None:
    """Serves until the replica goes."""
    descriptor, life, opening = sys.argv[1:]
    _die_with(int(life))
    connection = socket.socket(fileno=int(descriptor))
    os.set_inheritable(int(descriptor), False)  # a process that the model starts would keep the connection open
    os.set_inheritable(int(life), False)
    try:
        runtime, manifest = _load(msgspec.json.decode(opening, type=Opening))
    except (ModelRefused, RegistryError) as error:
        send(connection, frame(ModelNotLoaded(str(error))))
        return
    is_batching = manifest.max_batch > 1 and is_batchable(runtime)
    send(connection, frame(ModelLoaded(is_batching)))
    names = [spec.name for spec in manifest.outputs]
    while (received := receive(connection)) is not None:
        message, tensors = received
        if isinstance(message, RunBatch):
            inputs = dict(zip(message.names, tensors, strict=True))
            send(connection, _run(runtime, inputs, message.rows, names, row_by_row=is_batching))


def _load(opening: Opening) -> tuple[Runtime, Manifest]:
    version = load_pinned(opening.registry, VersionKey(*opening.key), opening.options)
    assert version.runtime is not None  # noqa: S101  # for the type checker; a READY version has one
    return version.runtime, version.manifest


def _run(
    runtime: Runtime, inputs: Inputs, rows: Sequence[int], names: Sequence[str], *, row_by_row: bool
) -> list[Part]:
    outcomes: Sequence[RequestResult]
    started_s = time.perf_counter()
    try:
        outcomes = run_isolated(runtime, inputs, rows, names, row_by_row=row_by_row)
    except Exception as error:  # noqa: BLE001  # the wrapping's fault: nobody may wait for ever
        outcomes = [ModelFailed(f"The model could not be run: {error!r}")] * len(rows)
    return ran(outcomes, time.perf_counter() - started_s)


def _die_with(life: int) -> None:
    """Has the kernel kill this process once the other end of a pipe is closed (fcntl(2), F_SETSIG)."""
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([life], [], [], 0)[0]:  # closed already, before the kernel was asked to look
        os._exit(1)


if __name__ == "__main__":
    main()
