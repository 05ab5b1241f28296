"""What is kept of the outcomes of decisions, and for how long."""

from typing import NamedTuple

KEPT_AT_LEAST_S = 600
"""How long outcomes are kept after they were written last, even if the window is over.

A reward that came in time may be counted after its window, when the store answers again. The same reward, sent to
another machine, is then known as a duplicate.
"""


class DecisionKey(NamedTuple):
    """A decision of one life of a route (`Document.declared_us`)."""

    route: str
    declared_us: int
    decision_id: str


class OutcomeChange(NamedTuple):
    """The outcomes of a decision as they were read, and as they are with more rewards. No bytes are no outcomes.

    They are of no use after `kept_until_s`, in seconds since the epoch: later rewards are late. A store keeps them at
    least until then, and for `KEPT_AT_LEAST_S`.
    """

    key: DecisionKey
    before: bytes
    after: bytes
    kept_until_s: int
