"""How long a connection may take over what it does: nothing, a head, a body, or reading its response.

The request path keeps no times. Once a second each connection is looked at. If it still does the same as at the looks
before, for longer than allowed, it is overdue.
"""

from enum import Enum
from typing import NamedTuple


class Activity(Enum):
    """What a connection does, as far as the client decides how long it takes."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    DROPPED = "dropped"
    """Its response is complete, and a short rest of its body is still to come."""
    SERVED = "served"
    """Its request is complete, and the response is not."""
    UNREAD = "unread"
    """The client does not take its response."""
    REFUSED = "refused"
    """It was refused, and only waits until the client has read why."""


class TimeLimits(NamedTuple):
    """The limits of a connection, in seconds and bytes per second."""

    idle_s: float
    head_s: float
    body_s: float
    min_body_bytes_per_s: float
    unread_s: float
    refused_s: float

    def is_overdue(self, activity: Activity, for_s: float, received_bytes: int) -> bool:
        """Return True if the activity takes too long. `received_bytes` came since it began.

        A body is overdue if, after `body_s`, it comes at less than the lowest rate.
        """
        if activity is Activity.BODY:
            return for_s >= self.body_s and received_bytes < for_s * self.min_body_bytes_per_s
        limit_s = {
            Activity.IDLE: self.idle_s,
            Activity.HEAD: self.head_s,
            Activity.DROPPED: self.body_s,
            Activity.UNREAD: self.unread_s,
            Activity.REFUSED: self.refused_s,
        }.get(activity)
        return limit_s is not None and for_s >= limit_s


class Watch:
    """What one connection did at the last look, and since when."""

    def __init__(self) -> None:
        self._doing: tuple[Activity, int] | None = None
        self._since_s = 0.0
        self._received_then = 0

    def is_overdue(
        self, limits: TimeLimits, activity: Activity, subject: int, received_bytes: int, now_s: float
    ) -> bool:
        """Look at the connection. Return True if it has done the same for too long.

        `subject` tells one head, body or response from the next. `received_bytes` counts from the connection's start.
        """
        if self._doing != (activity, subject):
            self._doing, self._since_s, self._received_then = (activity, subject), now_s, received_bytes
            return False
        return limits.is_overdue(activity, now_s - self._since_s, received_bytes - self._received_then)

    def idle_since_s(self) -> float | None:
        """Return since when the connection is idle. None: at the last look it was not."""
        return self._since_s if self._doing is not None and self._doing[0] is Activity.IDLE else None
