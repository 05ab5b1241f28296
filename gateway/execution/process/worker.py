"""The main module of a process that runs one model version for a replica.

    python -m gateway.execution.process.worker SOCKET PIPE MODEL

SOCKET is one end of a connection to the replica, over which both sides send frames
(`gateway.execution.process.frames`). First this process sends that the model is loaded, or why it is not. Then it
answers batch after batch.

PIPE is a pipe whose other end the replica holds. When that end is closed, for example because the replica died, the
kernel kills this process, whatever its model is doing.

MODEL says what to load (`ModelToLoad`, in JSON).
"""

import os
import resource
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from gateway.execution.process.die_with import die_with
from gateway.execution.process.frames import (
    ModelLoaded,
    ModelNotLoaded,
    ModelToLoad,
    Part,
    RunBatch,
    frame,
    result_frame,
)
from gateway.execution.process.wire import receive, send
from registry_sync.catalogue import VersionKey
from registry_sync.errors import RegistryError
from registry_sync.pinned import load_pinned
from runtimes.batching import Inputs, RequestResult, run_isolated, why_unbatched
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest
from runtimes.runtime import Runtime

_OOM_SCORE = "500"
_NO_MEMORY = ("MemoryError", "bad_alloc", "bad allocation", "Failed to allocate memory")


def main() -> None:
    """Load the model and answer batches until the replica closes the connection."""
    descriptor, pipe, model = sys.argv[1:]
    die_with(int(pipe))
    connection = socket.socket(fileno=int(descriptor))
    os.set_inheritable(int(descriptor), False)  # a process that the model starts would keep the connection open
    os.set_inheritable(int(pipe), False)
    try:
        runtime, manifest = _load(msgspec.json.decode(model, type=ModelToLoad))
    except (ModelRefused, RegistryError) as error:
        send(connection, frame(ModelNotLoaded(str(error))))
        return
    is_batching = not why_unbatched(runtime, manifest.max_batch)
    send(connection, frame(ModelLoaded(is_batching)))
    names = [spec.name for spec in manifest.outputs]
    while (received := receive(connection)) is not None:
        message, tensors = received
        if isinstance(message, RunBatch):
            inputs = dict(zip(message.names, tensors, strict=True))
            send(connection, _run(runtime, inputs, message.rows, names, row_by_row=is_batching))


def _load(to_load: ModelToLoad) -> tuple[Runtime, Manifest]:
    """Load the version, with a limit on the memory of this process meanwhile. What a batch takes is not limited."""
    limit, (_, most) = to_load.options.max_bytes, resource.getrlimit(resource.RLIMIT_DATA)
    if limit:
        allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))
        # If memory runs out all the same, the kernel ends this process before any other of ours.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    key = VersionKey(*to_load.key)
    try:
        version = load_pinned(to_load.registry, key, to_load.options, to_load.seen)
    except ModelRefused as error:
        if limit and any(word in str(error) for word in _NO_MEMORY):
            sentence = f"{key}: loading it takes more memory than {limit >> 20} MiB (POINTSMAN_LOAD_MAX_BYTES)."
            raise ModelRefused(sentence) from error
        raise
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    assert version.runtime is not None  # noqa: S101  # for the type checker; a READY version has one
    return version.runtime, version.manifest


def _run(
    runtime: Runtime, inputs: Inputs, rows: Sequence[int], names: Sequence[str], *, row_by_row: bool
) -> list[Part]:
    outcomes: Sequence[RequestResult]
    started_s = time.perf_counter()
    try:
        outcomes = run_isolated(runtime, inputs, rows, names, row_by_row=row_by_row)
    except Exception as error:  # noqa: BLE001  # our own bug: the waiting requests must still get an error
        outcomes = [ModelFailed(f"The model could not be run: {error!r}")] * len(rows)
    return result_frame(outcomes, time.perf_counter() - started_s)


if __name__ == "__main__":
    main()
