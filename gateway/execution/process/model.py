"""Child processes of models: how one is started, waited for while it loads, and run before it gets batches."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.execution.model_environment import passed_on
from gateway.execution.process.child import THREADS, ChildProcess
from gateway.execution.process.frames import (
    BatchResult,
    ModelLoaded,
    ModelNotLoaded,
    ModelToLoad,
    RunBatch,
    frame,
    outcomes_of,
)
from gateway.execution.process.wire import receive, send
from registry_sync.version import VersionKey
from runtimes.datatypes import Tensor
from runtimes.errors import InputRefused, ModelFailed, ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Signature
from runtimes.manifest_text import check_example_sizes
from runtimes.runtime import check_examples, with_examples

_WORKER = "gateway.execution.process.worker"
_MOST_EXAMPLE_ELEMENTS = 1 << 20
"""Of the examples that a process sends, which the gateway itself builds. It is 4 MB of FP32."""


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """What processes of models need, and their time limits.

    `registry` is what `registry_sync.open.serving_url` returns, `load` what the operator allows. A process must have
    loaded its model within `open_within_s`. A process that works on a batch for `hang_after_s` is killed, unless a
    deadline says otherwise. A process whose version no route uses any more ends after `linger_s`.
    """

    registry: str
    load: LoadOptions
    open_within_s: float = 600.0
    hang_after_s: float = 10.0
    linger_s: float = 30.0


def start_model(
    key: VersionKey,
    options: ProcessOptions,
    nice: int,
    *,
    seen: Signature | None = None,
    unbatched_because: str | None = None,
) -> ChildProcess:
    """Start a process that loads a version, with as many threads as the version would have in the replica.

    `seen` is the signature behind which it runs, if that is not its own.
    `unbatched_because` is what a trial has found out.

    Raises:
        OSError: as `ChildProcess`.
    """
    pinned = key.model, key.version, key.digest
    threads = dict.fromkeys(THREADS, str(options.load.intra_op_threads))
    environment = {**passed_on(os.environ), **threads}
    to_load = ModelToLoad(options.registry, pinned, options.load, seen, unbatched_because)
    return ChildProcess(_WORKER, str(key), environment=environment, nice=nice, content=msgspec.json.encode(to_load))


def await_loaded(child: ChildProcess, within_s: float) -> ModelLoaded:
    """Wait until the process has loaded its model. Return what it says of it.

    Raises:
        ModelRefused: the model cannot be loaded, is not loaded within the time, or ended the process.
    """
    child.connection.settimeout(within_s)
    try:
        received = receive(child.connection)
    except TimeoutError as error:
        child.kill()
        raise ModelRefused(f"Its process had not loaded it after {within_s:g} s.") from error
    except OSError:
        received = None
    if received is None:
        child.kill()
        raise ModelRefused(f"{child.wait()} while it was loading the model.")
    message = received[0]
    if isinstance(message, ModelNotLoaded):
        raise ModelRefused(message.sentence)
    if not isinstance(message, ModelLoaded):
        child.kill()
        raise ModelRefused(f"Its process answers {message!r}.")
    child.examples = message.examples
    return message


def _with_examples_sent(signature: Signature, examples: Mapping[str, Example]) -> Signature:
    """Return a signature with an example for each input that has none and for which the process has sent one."""
    sent = {spec.name for spec in signature.inputs if spec.example is None and spec.name in examples}
    seen = with_examples(signature, {name: examples[name] for name in sent})
    check_example_sizes((spec for spec in seen.inputs if spec.name in sent), _MOST_EXAMPLE_ELEMENTS)
    check_examples(seen)
    return seen


class BlockingModel:
    """See `runtimes.runtime.Runtime`. `run` blocks; it is used before the event loop has the connection.

    Raises:
        ModelRefused: the process has sent examples that are too large, or do not fit the inputs.
    """

    def __init__(self, child: ChildProcess, signature: Signature) -> None:
        self.signature = _with_examples_sent(signature, child.examples)
        self.unbatched_because = ""
        self._child = child

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:  # noqa: ARG002  # all
        """See `Runtime.run`."""
        counted = [spec.name for spec in self.signature.inputs if self.signature.counts_instances(spec)]
        rows = len(inputs[counted[0]]) if counted else 1
        try:
            send(self._child.connection, frame(RunBatch((rows,), tuple(inputs)), list(inputs.values())))
            received = receive(self._child.connection)
        except OSError as error:
            raise ModelRefused(f"Its process does not answer: {error!r}.") from error
        if received is None:
            self._child.kill()
            raise ModelRefused(f"{self._child.wait()} while its latency was being measured.")
        message, tensors = received
        if not isinstance(message, BatchResult):
            raise ModelRefused(f"Its process answers {message!r}.")
        (outcome,) = outcomes_of(message, tensors)
        if isinstance(outcome, InputRefused | ModelFailed):
            raise ModelFailed(str(outcome))
        return outcome
