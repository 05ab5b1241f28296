"""A child process with a connection to it: started, waited for, killed.

It costs its parent nothing but memory and processor time. It has its own interpreter, so it crashes alone. It can be
killed whatever it is doing. With `nice` it yields the processor to other processes.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from runtimes.manifest import Example
from runtimes.python.folder import remove_unused

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""The variables that say how many threads numerical libraries start."""

_STDERR = 2


class ChildProcess:
    """A process from its start until it has been reaped. One thread may call `wait`, every thread may call `kill`.

    It runs `python -m MODULE SOCKET PIPE ARGUMENT`. SOCKET is the descriptor of its end of `connection`. PIPE is the
    descriptor of a pipe, the other end of which is closed when this process ends. Its standard input is `content`: an
    argument has 128 KiB at most (execve(2), MAX_ARG_STRLEN), and the names of 4,000 columns are longer.

    Raises:
        OSError: it cannot be started: too many processes, or too little memory.
    """

    def __init__(
        self,
        module: str,
        argument: str,
        *,
        environment: Mapping[str, str],
        nice: int,
        folder: str | None = None,
        content: bytes = b"",
        stdout: int = _STDERR,
    ) -> None:
        """Start the process. Its environment is `environment`, and the import path of this one.

        `folder` is its working directory, if that is not the one of this process. `stdout` is the descriptor that it
        gets as its standard output.
        """
        self._lock = threading.Lock()
        self._is_reaped = False
        self.examples: Mapping[str, Example] = {}
        self.connection, theirs = socket.socketpair()
        pipe, self._pipe = os.pipe()
        try:
            with theirs, _file_of(content) as given:
                descriptors = (theirs.fileno(), pipe)
                self._process = subprocess.Popen(  # noqa: S603  # this interpreter, with a module of ours
                    [sys.executable, "-P", "-m", module, *map(str, descriptors), argument],
                    pass_fds=descriptors,
                    stdin=given,
                    stdout=stdout,  # a model may print; the output of this process may be JSON for a program
                    cwd=folder,
                    env={**environment, "PYTHONPATH": _import_path()},
                    process_group=0,  # ctrl-c is for the replica, which ends its processes once it has drained
                )
            if nice:
                os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        except OSError:
            self.close()
            raise
        finally:
            os.close(pipe)
        self.pid = self._process.pid

    def wait(self) -> str:
        """Wait until the process has ended. Return a clause that says how it ended."""
        with contextlib.suppress(ChildProcessError):  # it has been reaped already
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # without the lock, which `kill` needs
        with self._lock:
            code = self._process.wait()
            self._is_reaped = True
        remove_unused()
        return f"Its process ended ({f'signal {-code}' if code < 0 else f'status {code}'})"

    def has_ended(self) -> bool:
        """Return True if the process has ended. It must still be waited for."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # it has been reaped already
            return True

    def kill(self) -> None:
        """Kill the process, unless it has been reaped: its number may belong to another process then."""
        with self._lock:
            if not self._is_reaped:
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the connection and the pipe. The process ends without them."""
        self.connection.close()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _file_of(content: bytes) -> BinaryIO:
    """Return a file in memory, to be read from the beginning. Unlike a pipe, it takes everything at once."""
    file = os.fdopen(os.memfd_create("input"), "w+b")
    file.write(content)
    file.seek(0)
    return file


def _import_path() -> str:
    """Return a PYTHONPATH with everything that this process can import."""
    return os.pathsep.join(str(Path(each).absolute()) for each in sys.path if each)
