"""How many connections a process may have: both ports share its file descriptors, above a reserve for all else."""

import contextlib
import resource

_RESERVE = 256
"""File descriptors for everything but connections: models, segments, the store, child processes."""
_MOST_OPEN_FILES = 65_536


def open_file_limit() -> int:
    """Raise this process's limit of open files as far as it may go, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_OPEN_FILES if soft == resource.RLIM_INFINITY else soft


def connections_within(open_files: int) -> int:
    """Return how many connections of one port so many file descriptors allow. The other port gets as many."""
    return max((open_files - _RESERVE) // 2, 10)
