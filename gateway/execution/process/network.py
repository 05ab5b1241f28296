"""Takes the network away from this process."""

import ctypes
import os
from pathlib import Path

NO_NETWORK = ("Network is unreachable", "name resolution", "Name or service not known")
"""What errors say in a process without network."""

_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000


def leave_network() -> None:
    """Put this thread, and all that it starts, into a network of its own without any interface (network_namespaces(7)).

    Without privileges this needs a user namespace, and that there is no other thread.

    Raises:
        OSError: the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWNET) == 0:
        return
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"unshare: {os.strerror(error)}")
    for file, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", file).write_text(line)
