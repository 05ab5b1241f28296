"""One update of a policy without a context: burn-in, policy, bounds."""

from collections.abc import Sequence

from bandits.bounds.bounded import bounded
from bandits.bounds.bounds import Bounds
from bandits.estimates.estimates import Estimates
from bandits.policy import Policy
from bandits.slots import to_shares


def lacking_arms(decisions: Sequence[float], bounds: Bounds) -> tuple[int, ...]:
    """Return the indices of arms that have fewer matured decisions than the burn-in asks for.

    An arm whose ceiling is 0 gets no decisions, so the others do not wait for it.
    """
    return tuple(
        arm
        for arm, (count, ceiling) in enumerate(zip(decisions, bounds.ceilings, strict=True))
        if ceiling > 0 and count < bounds.burn_in
    )


def next_slots(policy: Policy, estimates: Estimates, bounds: Bounds, before: Sequence[int]) -> tuple[int, ...]:
    """Return the slots after one update from the slots `before`, which sum to 10,000.

    While an arm is in its burn-in the slots stay as they are, except that they keep to the bounds. So an arm that is
    added must have a floor, or get slots otherwise: without decisions its burn-in does not end.

    Raises:
        BanditError: if the estimates are none that the policy can use.
    """
    if lacking_arms(estimates.decisions, bounds):
        return bounded(to_shares(before), bounds._replace(largest_change=0), before)
    return bounded(policy.weights(estimates), bounds, before)
