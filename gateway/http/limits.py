"""The limits of the HTTP port. `Settings` gives their values."""

from typing import NamedTuple

from gateway.eventloop.open_files import connections_within, open_file_limit
from gateway.http.time_limits import TimeLimits
from gateway.settings import Settings

DROPPED_BYTES = 1024 * 1024
"""A body up to this length that comes behind its response is dropped. A longer one ends the connection."""
LINGER_BYTES = 256 * 1024
"""What is read, and dropped, of a longer one before the connection is closed."""
_REFUSED_S = 2.0
"""How long a connection that was refused waits until its client has read why (nginx's lingering_timeout is 5 s)."""


class HttpLimits(NamedTuple):
    """What one connection may send, how many connections there may be, and how long each may take.

    `max_header_bytes` is for the path and the headers together. `max_age_s` is 0 if a connection may become any age.
    """

    max_header_bytes: int
    max_headers: int
    max_connections: int
    time: TimeLimits
    max_age_s: float = 0.0


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
            refused_s=_REFUSED_S,
        ),
        max_age_s=settings.max_connection_age_s,
    )
