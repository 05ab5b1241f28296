"""What is kept of the outcomes of decisions, and for how long."""

from typing import NamedTuple


class DecisionKey(NamedTuple):
    """A decision of one life of a route (`Document.declared_us`)."""

    route: str
    declared_us: int
    decision_id: str


class OutcomeChange(NamedTuple):
    """The outcomes of a decision as they were read, and as they are with more rewards. No bytes are no outcomes.

    They are of no use after `kept_until_s`, in seconds since the epoch: later rewards are late.
    """

    key: DecisionKey
    before: bytes
    after: bytes
    kept_until_s: int
