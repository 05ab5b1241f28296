"""The limits of the HTTP port. `Settings` gives their values."""

import contextlib
import resource
from typing import NamedTuple

from gateway.http.time_limits import TimeLimits
from gateway.settings import Settings


class HttpLimits(NamedTuple):
    """What one connection may send, how many connections there may be, and how long each may take."""

    max_header_bytes: int = 32 * 1024
    """The path and the headers together. nginx takes 32 KiB, Envoy 60 KiB, Node 16 KiB."""
    max_headers: int = 100
    """As Envoy."""
    max_connections: int = 10_000
    time: TimeLimits = TimeLimits()


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
    """Return how many HTTP connections so many file descriptors allow. gRPC gets as many."""
    return max((open_files - _RESERVE) // 2, 10)


def http_limits(settings: Settings) -> HttpLimits:
    """Return the limits that the settings give, as far as the file descriptors allow."""
    return HttpLimits(
        max_header_bytes=settings.max_header_bytes,
        max_headers=settings.max_headers,
        max_connections=min(settings.max_connections, connections_within(open_file_limit())),
        time=TimeLimits(
            idle_s=settings.idle_timeout_s,
            head_s=settings.header_timeout_s,
            body_s=settings.body_timeout_s,
            min_body_bytes_per_s=settings.min_body_bytes_per_s,
            unread_s=settings.unread_timeout_s,
        ),
    )
