"""Lets the kernel kill this process when the process that started it has ended, whatever this one is doing.

A thread that watches would not do: it cannot run while other code holds the interpreter's lock.
"""

import fcntl
import os
import select
import signal


def die_with(pipe: int) -> None:
    """Let the kernel kill this process once the other end of a pipe is closed (fcntl(2), F_SETSIG)."""
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([pipe], [], [], 0)[0]:  # it was closed before the kernel was told to watch it
        os._exit(1)
