"""The main module of a process that runs one model version for a replica.

    python -m gateway.execution.process.worker SOCKET PIPE MODEL

SOCKET is one end of a connection to the replica, over which both sides send frames
(`gateway.execution.process.frames`). First this process sends that the model is loaded, or why it is not. Then it
answers batch after batch.

PIPE is a pipe whose other end the replica holds. When that end is closed, for example because the replica died, the
kernel kills this process, whatever its model is doing.

Standard input says what to load (`ModelToLoad`, in JSON). MODEL is its name, for a person who lists the processes.
"""

import sys
import time
from collections.abc import Sequence

import msgspec

from gateway.execution.process.frames import (
    FrameMessage,
    ModelLoaded,
    ModelNotLoaded,
    ModelToLoad,
    Part,
    RunBatch,
    frame,
    result_frame,
)
from gateway.execution.process.parent import connect_to_parent, lift_limit, limit_memory, too_much_memory
from gateway.execution.process.wire import receive, send
from registry_sync.errors import RegistryError
from registry_sync.pinned import load_pinned
from registry_sync.version import VersionKey
from runtimes.batching import Inputs, RequestResult, run_isolated, why_unbatched
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.runtime import found_examples


def main() -> None:
    """Load the model and answer batches until the replica closes the connection."""
    descriptor, pipe, _ = sys.argv[1:]
    connection = connect_to_parent(descriptor, pipe)
    worker = Worker(msgspec.json.decode(sys.stdin.buffer.read(), type=ModelToLoad))
    try:
        loaded = worker.load()
    except (ModelRefused, RegistryError) as error:
        send(connection, frame(ModelNotLoaded(str(error))))
        return
    send(connection, frame(loaded))
    while (received := receive(connection)) is not None:
        answer = worker.answer(*received)
        if answer is not None:
            send(connection, answer)


class Worker:
    """One version in this process."""

    def __init__(self, to_load: ModelToLoad) -> None:
        self._to_load = to_load

    def load(self) -> ModelLoaded:
        """Load the version, with a limit on the memory of this process meanwhile.

        Raises:
            ModelRefused, RegistryError: it cannot be loaded.
        """
        to_load = self._to_load
        limit = to_load.options.max_bytes
        limit_memory(limit)
        key = VersionKey(*to_load.key)
        try:
            version = load_pinned(to_load.registry, key, to_load.options, to_load.seen)
        except ModelRefused as error:
            sentence = too_much_memory(str(error), limit)
            if sentence:
                raise ModelRefused(f"{key}: {sentence}") from error
            raise
        lift_limit()
        assert version.runtime is not None  # noqa: S101  # for the type checker; a READY version has one
        self._runtime, self._manifest = version.runtime, version.manifest
        self._unbatched_because = self._runtime.unbatched_because or to_load.unbatched_because or ""
        if to_load.unbatched_because is None:
            self._unbatched_because = why_unbatched(self._runtime, self._manifest.max_batch)
        examples = found_examples(self._runtime.signature, self._manifest.signature)
        return ModelLoaded(self._unbatched_because, examples)

    def answer(self, message: FrameMessage, tensors: Sequence[Tensor]) -> list[Part] | None:
        """Return the answer to a message of the replica."""
        if isinstance(message, RunBatch):
            inputs = dict(zip(message.names, tensors, strict=True))
            return self._run(inputs, message.rows)
        return None

    def _run(self, inputs: Inputs, rows: Sequence[int]) -> list[Part]:
        outcomes: Sequence[RequestResult]
        started_s = time.perf_counter()
        names = [spec.name for spec in self._manifest.outputs]
        try:
            outcomes = run_isolated(self._runtime, inputs, rows, names, row_by_row=not self._unbatched_because)
        except Exception as error:  # noqa: BLE001  # our own bug: the waiting requests must still get an error
            outcomes = [ModelFailed(f"The model could not be run: {error!r}")] * len(rows)
        return result_frame(outcomes, time.perf_counter() - started_s)


if __name__ == "__main__":
    main()
