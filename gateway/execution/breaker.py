"""A circuit breaker: a version that keeps failing gets no requests for a while.

Everything that can change a breaker's state is in this file. It does not know what counts as a failure, and it reads no
clock: time is an argument.

CLOSED admits every request. `FAILURES_IN_A_ROW` failures without a success between them open the breaker.

OPEN admits no request until its pause is over. Then it admits one test request and is HALF_OPEN.

HALF_OPEN waits for the outcome of the test request. A success closes the breaker. A failure opens it again for twice as
long, up to `LONGEST_PAUSE_S`. A test request that reports nothing, because its client left, is given up after another
pause. One that never reached the model is given up at once. In both cases the next request becomes the test request.

Failures are counted in a row and not as a share, so that one odd failure cannot stop a version with little traffic.
"""

from enum import StrEnum

FAILURES_IN_A_ROW = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class BreakerState(StrEnum):
    """The states of a breaker."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Breaker:
    """The breaker of one lane."""

    __slots__ = ("_failing_routes", "_failures", "_pause_s", "_until_s", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self._failures = 0
        self._failing_routes: set[str] = set()
        self._pause_s = FIRST_PAUSE_S
        self._until_s = 0.0

    def __repr__(self) -> str:
        return f"<Breaker {self.state} failures={self._failures} pause_s={self._pause_s:g}>"

    def admits(self, now_s: float) -> bool:
        """Return True if a request may be sent now. If the breaker is not closed, that is the test request."""
        if self.state is BreakerState.CLOSED:
            return True
        if now_s < self._until_s:
            return False
        self.state = BreakerState.HALF_OPEN
        self._until_s = now_s + self._pause_s
        return True

    def succeeded(self) -> None:
        """Record that the model answered a request."""
        if self._failures:
            self.state = BreakerState.CLOSED
            self._failures = 0
            self._failing_routes.clear()
            self._pause_s = FIRST_PAUSE_S

    def has_failed(self, route: str) -> bool:
        """Return True if a request of this route is among the failures in a row."""
        return route in self._failing_routes

    def failed(self, now_s: float, route: str = "") -> None:
        """Record that the model did not answer a request of a route, by its own fault."""
        self._failures += 1
        self._failing_routes.add(route)
        if self.state is BreakerState.HALF_OPEN:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._open(now_s)
        elif self.state is BreakerState.CLOSED and self._failures >= FAILURES_IN_A_ROW:
            self._open(now_s)

    def not_tried(self, now_s: float) -> None:
        """Record that an admitted request never reached the model.

        If it was the test request, the next request becomes the test request.
        """
        if self.state is BreakerState.HALF_OPEN:
            self._until_s = now_s

    def _open(self, now_s: float) -> None:
        self.state = BreakerState.OPEN
        self._until_s = now_s + self._pause_s
