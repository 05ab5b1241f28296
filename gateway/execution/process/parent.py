"""What a process does first whose parent is one of ours (`ChildProcess`): it ends with its parent, and takes limits."""

import os
import resource
import socket
from contextlib import suppress
from pathlib import Path

from gateway.execution.process.die_with import die_with

_OOM_SCORE = "500"


def connect_to_parent(descriptor: str, pipe: str) -> socket.socket:
    """Return the connection to the parent. From now on this process ends when the parent does."""
    die_with(int(pipe))
    connection = socket.socket(fileno=int(descriptor))
    os.set_inheritable(int(descriptor), False)  # a process that the model starts would keep the connection open
    os.set_inheritable(int(pipe), False)
    return connection


def limit_memory(max_bytes: int) -> None:
    """Limit the memory of this process, if `max_bytes` is not 0. The limit can be lifted again (`lift_limit`)."""
    if not max_bytes:
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = max_bytes if most == resource.RLIM_INFINITY else min(max_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))
    die_first()


def lift_limit() -> None:
    """Let this process take again what the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def die_first() -> None:
    """If memory runs out all the same, let the kernel end this process before any other of ours."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
