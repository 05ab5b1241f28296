"""How weights move between the arms of a route: to given weights, or away from one arm."""

from collections.abc import Mapping
from fractions import Fraction

from router.document.document import Document
from router.draw.assignment import BUCKETS
from router.draw.slots import quantise, require_a_slot
from router.errors import Rejected
from router.quantities import format_percent
from router.refusals import short_repr
from router.spec.parse_limits import check_limits
from router.spec.spec import Limits, RouteSpec


def slots_after_shift(document: Document, weights: Mapping[str, Fraction]) -> dict[str, int]:
    """Return every arm's slots if the named arms have these weights. The others share the rest as they share now.

    Raises:
        Rejected: if an arm is unknown, or the weights are impossible or not within the arms' limits.
    """
    spec = document.spec
    if not weights:
        raise Rejected("Name at least one arm and its weight, such as canary=20.")
    for arm, weight in weights.items():
        check_arm(document, arm)
        if weight < 0:
            raise Rejected(f"The weight of arm {arm} is negative.")
        require_a_slot(weight, f"The weight of arm {arm}")
    if weights.keys() != spec.arms.keys():
        require_a_slot(1 - sum(weights.values(), Fraction(0)), "What is left for the other arms")
    slots = quantise(_complete(document, weights))
    check_limits(slots, spec.limits)
    return slots


def check_arm(document: Document, arm: str) -> None:
    """Reject an arm that the route does not have.

    Raises:
        Rejected: if the route does not have it.
    """
    spec = document.spec
    if arm not in spec.arms:
        raise Rejected(f"Route {spec.route} has no arm {short_repr(arm)}; its arms are {', '.join(spec.arms)}.")


def slots_without(document: Document, arm: str) -> dict[str, int]:
    """Return every arm's slots if this arm has none.

    The others share its slots as they share now. What exceeds the ceiling of one of them goes to the rest. If none of
    the rest has traffic now, it goes to the trusted arm, or to the only arm that is left. If all the rest are at their
    ceilings, the ceilings do not count; `limits_without` raises them.

    Raises:
        Rejected: if no arm can take the slots.
    """
    fixed = {arm: Fraction(0)}
    while len(fixed) < len(document.spec.arms):
        try:
            weights = _weights_without(document, arm, fixed)
        except Rejected:
            if len(fixed) == 1:
                raise
            break
        above = {
            other: Fraction(limit.ceiling, BUCKETS)
            for other, limit in (document.spec.limits or {}).items()
            if other not in fixed and weights[other] * BUCKETS > limit.ceiling
        }
        if not above:
            return quantise(weights)
        fixed |= above
    return quantise(_weights_without(document, arm, {arm: Fraction(0)}))


def limits_without(spec: RouteSpec, arm: str, slots: Mapping[str, int]) -> dict[str, Limits] | None:
    """Return the limits of a split after its arm was taken out of traffic: they allow `slots`."""
    limits = {
        each: Limits(0 if each == arm else limit.floor, max(limit.ceiling, slots[each]))
        for each, limit in (spec.limits or {}).items()
    }
    return limits or None


def _weights_without(document: Document, arm: str, fixed: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Return every arm's weight if the arms of `fixed` have these."""
    others = [other for other in document.spec.arms if other not in fixed]
    if not others:
        raise Rejected(f"Arm {arm} is the only arm of route {document.spec.route}; declare another one first.")
    if not any(document.weights[other] for other in others):
        trusted = document.spec.trusted_arm
        taker = trusted if trusted in others else others[0] if len(others) == 1 else None
        if taker is None:
            raise Rejected(
                f"No other arm may have the traffic of arm {arm}, because they have none now; shift it to one of them "
                "first."
            )
        fixed = {**dict.fromkeys(others, Fraction(0)), **fixed, taker: 1 - sum(fixed.values(), Fraction(0))}
    return _complete(document, fixed)


def _complete(document: Document, named: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Add the weights of the other arms, in proportion to what they have now. Keep the order of the arms."""
    if named.keys() == document.spec.arms.keys():
        return {arm: named[arm] for arm in document.spec.arms}
    rest = 1 - sum(named.values(), Fraction(0))
    if rest < 0:
        raise Rejected(f"The weights sum to {float(100 * (1 - rest)):.10g}%; they must not exceed 100%.")
    others = {arm: Fraction(slots, BUCKETS) for arm, slots in document.weights.items() if arm not in named}
    total = sum(others.values(), Fraction(0))
    if rest > 0 and total == 0 and len(others) != 1:
        raise Rejected(
            f"{format_percent(rest)} is left, and no other arm has traffic to share it in proportion; "
            "name the arm that shall have it."
        )
    scaled = {arm: (weight * rest / total if total else rest / len(others)) for arm, weight in others.items()}
    return {arm: scaled.get(arm, named.get(arm, Fraction(0))) for arm in document.spec.arms}
