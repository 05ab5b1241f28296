"""The limits of the gRPC port. `Settings` gives their values."""

from typing import NamedTuple

from gateway.eventloop.open_files import connections_within, open_file_limit
from gateway.grpc.http2.time_limits import TimeLimits
from gateway.settings import Settings

_HELLO_S = 10.0
"""From the connection to the client's settings."""


class GrpcLimits(NamedTuple):
    """How long a message may be, how many connections there may be, and how long each may take.

    `max_age_s` is 0 if a connection may become any age.
    """

    max_message_bytes: int
    max_connections: int
    time: TimeLimits
    max_age_s: float = 0.0


def grpc_limits(settings: Settings) -> GrpcLimits:
    """Return the limits that the settings give, as far as the file descriptors allow."""
    return GrpcLimits(
        max_message_bytes=settings.max_body_bytes,
        max_connections=min(settings.grpc_max_connections, connections_within(open_file_limit())),
        time=TimeLimits(hello_s=_HELLO_S, stalled_s=settings.grpc_stalled_s, idle_s=settings.grpc_idle_s),
        max_age_s=settings.max_connection_age_s,
    )
