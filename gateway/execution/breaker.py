"""A circuit breaker: an arm that fails again and again is left alone for a while. Decides; time is an argument.

Everything that can change a breaker's phase is in this file; it does not know what a failure is, nor what time it is.

CLOSED lets everything through. `FAILURES_IN_A_ROW` failures without a success between them open it. OPEN lets nothing
through until its pause is over; then it is HALF_OPEN: one trial may pass, and its outcome decides. A success closes
the breaker, a failure opens it again, for twice as long. A trial that reports nothing (its caller left) is given up
after another pause, one that never reached the arm at once. Counting in a row, not in a share, keeps one odd failure
from stopping an arm with little traffic.
"""

from enum import StrEnum

FAILURES_IN_A_ROW = 5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Breaker:
    """One per version and replica."""

    __slots__ = ("_failures", "_pause_s", "_until_s", "phase")

    def __init__(self) -> None:
        self.phase = BreakerState.CLOSED
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._until_s = 0.0

    def __repr__(self) -> str:
        return f"<Breaker {self.phase} failures={self._failures} pause_s={self._pause_s:g}>"

    def admits(self, now_s: float) -> bool:
        """Whether a request may be sent now. If so while the breaker is open, that request is the trial."""
        if self.phase is BreakerState.CLOSED:
            return True
        if now_s < self._until_s:
            return False
        self.phase = BreakerState.HALF_OPEN
        self._until_s = now_s + self._pause_s
        return True

    def succeeded(self) -> None:
        """An answer came."""
        if self._failures:
            self.phase = BreakerState.CLOSED
            self._failures = 0
            self._pause_s = FIRST_PAUSE_S

    def failed(self, now_s: float) -> None:
        """No answer came, and it was the arm's fault."""
        self._failures += 1
        if self.phase is BreakerState.HALF_OPEN:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._open(now_s)
        elif self.phase is BreakerState.CLOSED and self._failures >= FAILURES_IN_A_ROW:
            self._open(now_s)

    def not_tried(self, now_s: float) -> None:
        """Who was admitted was not sent: if he was the trial, the next one is."""
        if self.phase is BreakerState.HALF_OPEN:
            self._until_s = now_s

    def _open(self, now_s: float) -> None:
        self.phase = BreakerState.OPEN
        self._until_s = now_s + self._pause_s
