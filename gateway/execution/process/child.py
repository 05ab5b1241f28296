"""One process that runs a model version: started, asked once whether it has loaded it, and ended. Acts, and blocks.

It costs its replica nothing but memory and processor time: it has an interpreter of its own, crashes by itself, can
be killed whatever it does, and, where `nice` says so, yields the processor to whoever else wants it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.execution.process.frames import (
    BatchResult,
    ModelLoaded,
    ModelNotLoaded,
    Opening,
    RunBatch,
    frame,
    outcomes_of,
)
from gateway.execution.process.wire import receive, send
from runtimes.datatypes import Tensor
from runtimes.errors import InputRefused, ModelFailed, ModelRefused
from runtimes.load import LoadOptions
from runtimes.manifest import Signature

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """What processes of models need, and how long they are given.

    `registry` is the setting of that name, `load` what the operator allows. A process must have loaded its model
    within `open_within_s`; one that works on a batch for `hang_after_s`, without a deadline that says otherwise, is
    killed; one whose version nobody uses any more ends after `linger_s`.
    """

    registry: str
    load: LoadOptions
    open_within_s: float = 60.0
    hang_after_s: float = 10.0
    linger_s: float = 30.0


class ChildProcess:
    """A process from its start until it has been reaped. `wait` is for one thread, `kill` for any.

    Raises:
        OSError: it cannot be started: too many processes, or too little memory.
    """

    def __init__(self, what: Opening, nice: int) -> None:
        self._lock = threading.Lock()
        self._is_reaped = False
        self.connection, theirs = socket.socketpair()
        life, self._life = os.pipe()
        try:
            with theirs:
                descriptors = (theirs.fileno(), life)
                self._process = subprocess.Popen(  # noqa: S603  # this interpreter, with our own module
                    [*_COMMAND, *map(str, descriptors), msgspec.json.encode(what).decode()],
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    env=_environment(what.options),
                    process_group=0,  # ctrl-c is for the replica, which ends its processes once it has drained
                )
            if nice:
                os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        except OSError:
            self.close()
            raise
        finally:
            os.close(life)
        self.pid = self._process.pid

    def open(self, within_s: float) -> bool:
        """Waits until the model is loaded: whether its requests can be batched.

        Raises:
            ModelRefused: it cannot be loaded, is not within the time, or ended the process.
        """
        self.connection.settimeout(within_s)
        try:
            received = receive(self.connection)
        except TimeoutError as error:
            self.kill()
            raise ModelRefused(f"Its process had not loaded it after {within_s:g} s.") from error
        except OSError:
            received = None
        if received is None:
            self.kill()
            raise ModelRefused(f"{self.wait()} while it was loading the model.")
        message = received[0]
        if isinstance(message, ModelNotLoaded):
            raise ModelRefused(message.sentence)
        return isinstance(message, ModelLoaded) and message.is_batching

    def wait(self) -> str:
        """How the process ended, once it has."""
        with contextlib.suppress(ChildProcessError):  # it has been reaped already
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # without the lock, which `kill` needs
        with self._lock:
            code = self._process.wait()
            self._is_reaped = True
        return f"Its process ended ({f'signal {-code}' if code < 0 else f'status {code}'})"

    def kill(self) -> None:
        """Ends the process, whatever it does. Its number may be another's once it has been reaped."""
        with self._lock:
            if not self._is_reaped:
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Gives the connection back, without which the process ends by itself."""
        self.connection.close()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1


class Model:
    """See `runtimes.runtime.Runtime`: the model behind a connection that blocks, before the event loop has it."""

    def __init__(self, child: ChildProcess, signature: Signature) -> None:
        self.signature = signature
        self._child = child

    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Sequence[Tensor]:  # noqa: ARG002  # all
        """See `Runtime.run`."""
        rows = max((len(tensor) for tensor in inputs.values() if tensor.ndim), default=1)
        try:
            send(self._child.connection, frame(RunBatch((rows,), tuple(inputs)), list(inputs.values())))
            received = receive(self._child.connection)
        except OSError as error:
            raise ModelRefused(f"Its process does not answer: {error!r}.") from error
        if received is None:
            self._child.kill()
            raise ModelRefused(f"{self._child.wait()} while its pace was being measured.")
        message, tensors = received
        if not isinstance(message, BatchResult):
            raise ModelRefused(f"Its process answers {message!r}.")
        (outcome,) = outcomes_of(message, tensors)
        if isinstance(outcome, InputRefused | ModelFailed):
            raise ModelFailed(str(outcome))
        return outcome


_COMMAND = (sys.executable, "-P", "-m", "gateway.execution.process.worker")


def _environment(options: LoadOptions) -> dict[str, str]:
    """Ours, with what this process can import, and as many threads as one that runs models here would have."""
    path = os.pathsep.join(each for each in sys.path if each)
    return {**os.environ, "PYTHONPATH": path} | dict.fromkeys(_THREADS, str(options.intra_op_threads))
