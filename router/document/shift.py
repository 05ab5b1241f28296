"""How weights move between the arms of a route: by an operator's word, or away from an arm. Decides."""

from collections.abc import Mapping
from fractions import Fraction

from router.document.document import Document
from router.draw.assignment import BUCKETS
from router.draw.slots import quantise
from router.errors import Rejected
from router.quantities import format_percent
from router.refusals import shown
from router.spec.parse import check_limits


def shifted(document: Document, weights: Mapping[str, Fraction]) -> dict[str, int]:
    """Every arm's slots when the named arms have these weights; the others share what is left as they share now.

    Raises:
        Rejected: an arm that there is not, weights that cannot be, or that the arms' limits do not allow.
    """
    spec = document.spec
    if not weights:
        raise Rejected("Name at least one arm and its weight, such as canary=20.")
    for arm, weight in weights.items():
        check_arm(document, arm)
        if weight < 0:
            raise Rejected(f"The weight of arm {arm} is negative.")
    slots = quantise(_completed(document, weights))
    check_limits(slots, spec.limits)
    return slots


def check_arm(document: Document, arm: str) -> None:
    """Returns if the route has the arm.

    Raises:
        Rejected: it has not.
    """
    spec = document.spec
    if arm not in spec.arms:
        raise Rejected(f"Route {spec.route} has no arm {shown(arm)}; its arms are {', '.join(spec.arms)}.")


def taken_away(document: Document, arm: str) -> dict[str, int]:
    """Every arm's slots when this one has none. The others share what it had as they share now; what that puts above
    an arm's ceiling goes to the rest of them, and in the end to the arm that is trusted.

    Raises:
        Rejected: there is no arm that could have it.
    """
    fixed = {arm: Fraction(0)}
    while True:
        weights = _handed_over(document, arm, fixed)
        above = {
            other: Fraction(limit.ceiling, BUCKETS)
            for other, limit in (document.spec.limits or {}).items()
            if other not in fixed and weights[other] * BUCKETS > limit.ceiling
        }
        if not above:
            return quantise(weights)
        fixed |= above


def _handed_over(document: Document, arm: str, fixed: Mapping[str, Fraction]) -> dict[str, Fraction]:
    others = [other for other in document.spec.arms if other not in fixed]
    if not any(document.weights[other] for other in others):
        heir = document.spec.otherwise if document.spec.otherwise in others else others[0] if len(others) == 1 else None
        if heir is None:
            raise Rejected(
                f"No other arm may have the traffic of arm {arm}: they have none now, or are at their ceilings; "
                "shift it to one of them first."
            )
        fixed = {**dict.fromkeys(others, Fraction(0)), **fixed, heir: 1 - sum(fixed.values(), Fraction(0))}
    return _completed(document, fixed)


def _completed(document: Document, named: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Every arm's weight: the others' in proportion to what they have now. Keeps the order of the arms."""
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
