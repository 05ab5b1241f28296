"""What a process does first whose parent is one of ours (`ChildProcess`): it ends with its parent, and takes limits."""

import os
import resource
import socket
from contextlib import suppress
from pathlib import Path

from gateway.execution.process.die_with import die_with

_OOM_SCORE = "500"
_NO_MEMORY = ("MemoryError", "bad_alloc", "bad allocation", "Failed to allocate memory", "Unable to allocate")
"""What errors say in a process that has no more memory."""


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


def too_much_memory(sentence: str, max_bytes: int) -> str:
    """Return that loading takes more memory than the limit, if that is what a sentence means, or an empty text."""
    if max_bytes and any(word in sentence for word in _NO_MEMORY):
        return f"loading it takes more memory than {max_bytes >> 20} MiB (POINTSMAN_LOAD_MAX_BYTES)."
    return ""


def lift_limit() -> None:
    """Let this process take again what the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def die_first() -> None:
    """If memory runs out all the same, let the kernel end this process before any other of ours."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
