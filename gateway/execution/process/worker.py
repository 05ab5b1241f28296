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
from contextlib import suppress
from importlib import import_module

import msgspec

from gateway.execution.process.frames import (
    FrameMessage,
    MeasureMemory,
    MemoryMeasured,
    ModelLoaded,
    ModelNotLoaded,
    ModelToLoad,
    Part,
    RowsTried,
    RunBatch,
    TryRows,
    frame,
    result_frame,
)
from gateway.execution.process.memory import own_bytes
from gateway.execution.process.network import NO_NETWORK, leave_network
from gateway.execution.process.parent import connect_to_parent, lift_limit, limit_memory
from gateway.execution.process.wire import receive, send
from registry_sync.errors import RegistryError
from registry_sync.pinned import load_pinned
from registry_sync.version import VersionKey
from runtimes.batching import Inputs, RequestResult, run_isolated, why_unbatched
from runtimes.datatypes import Tensor
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.kinds import loader_of
from runtimes.manifest import Files, Manifest
from runtimes.runtime import found_examples

_LIBRARIES = {"sklearn": "sklearn", "lightgbm": "lightgbm", "xgboost": "xgboost", "catboost": "catboost"}
_NETWORK_ADVICE = "A version is tried without network; POINTSMAN_LOAD_NETWORK=true gives it one."
_NO_MEMORY = ("MemoryError", "bad_alloc", "bad allocation", "Failed to allocate memory")


def main() -> None:
    """Load the model and answer batches until the replica closes the connection."""
    descriptor, pipe, _ = sys.argv[1:]
    connection = connect_to_parent(descriptor, pipe)
    to_load = msgspec.json.decode(sys.stdin.buffer.read(), type=ModelToLoad)
    worker = Worker(to_load)
    try:
        loaded = worker.load()
    except (ModelRefused, RegistryError) as error:
        send(connection, frame(ModelNotLoaded(_with_advice(str(error), to_load))))
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
        self._base_bytes = 0
        self._network = ""

    def load(self) -> ModelLoaded:
        """Load the version, with a limit on the memory of this process meanwhile; in a trial for good.

        Raises:
            ModelRefused, RegistryError: it cannot be loaded.
        """
        to_load = self._to_load
        limit = to_load.options.max_bytes
        limit_memory(limit)
        key = VersionKey(*to_load.key)
        try:
            version = load_pinned(to_load.registry, key, to_load.options, to_load.seen, self._prepare)
        except ModelRefused as error:
            if limit and any(word in str(error) for word in _NO_MEMORY):
                sentence = f"{key}: loading it takes more memory than {limit >> 20} MiB (POINTSMAN_LOAD_MAX_BYTES)."
                raise ModelRefused(sentence) from error
            raise
        if not to_load.is_trial:
            lift_limit()
        assert version.runtime is not None  # noqa: S101  # for the type checker; a READY version has one
        self._runtime, self._manifest = version.runtime, version.manifest
        self._unbatched_because = self._runtime.unbatched_because or to_load.unbatched_because or ""
        if to_load.unbatched_because is None and not to_load.is_trial:
            self._unbatched_because = why_unbatched(self._runtime, self._manifest.max_batch)
        examples = found_examples(self._runtime.signature, self._manifest.signature)
        return ModelLoaded(self._unbatched_because, self._network, examples)

    def answer(self, message: FrameMessage, tensors: Sequence[Tensor]) -> list[Part] | None:
        """Return the answer to a message of the replica."""
        if isinstance(message, RunBatch):
            inputs = dict(zip(message.names, tensors, strict=True))
            return self._run(inputs, message.rows)
        if isinstance(message, MeasureMemory):
            process_bytes = own_bytes()
            return frame(MemoryMeasured(max(process_bytes - self._base_bytes, 0), process_bytes))
        if isinstance(message, TryRows):
            return frame(RowsTried(why_unbatched(self._runtime, self._manifest.max_batch)))
        return None

    def _prepare(self, manifest: Manifest, files: Files) -> None:
        """Leave the network, once the files are here. Measure what this process takes without them and the model."""
        if self._to_load.is_trial and not self._to_load.options.has_network:
            try:
                leave_network()
            except OSError as error:
                self._network = str(error)
        loader_of(manifest.runtime)
        library = "skops.io" if manifest.file.endswith(".skops") else _LIBRARIES.get(manifest.runtime)
        if library is not None:  # which is no part of the model
            with suppress(ImportError):
                import_module(library)
        self._base_bytes = own_bytes() - sum(map(len, files.values()))

    def _run(self, inputs: Inputs, rows: Sequence[int]) -> list[Part]:
        outcomes: Sequence[RequestResult]
        started_s = time.perf_counter()
        names = [spec.name for spec in self._manifest.outputs]
        row_by_row = not self._unbatched_because and not self._to_load.is_trial
        try:
            outcomes = run_isolated(self._runtime, inputs, rows, names, row_by_row=row_by_row)
        except Exception as error:  # noqa: BLE001  # our own bug: the waiting requests must still get an error
            outcomes = [ModelFailed(f"The model could not be run: {error!r}")] * len(rows)
        return result_frame(outcomes, time.perf_counter() - started_s)


def _with_advice(sentence: str, to_load: ModelToLoad) -> str:
    if to_load.is_trial and not to_load.options.has_network and any(word in sentence for word in NO_NETWORK):
        return f"{sentence} {_NETWORK_ADVICE}"
    return sentence


if __name__ == "__main__":
    main()
