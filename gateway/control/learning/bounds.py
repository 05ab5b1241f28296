"""The limits within which a bandit may move the weights of its arms."""

from collections.abc import Mapping
from fractions import Fraction

from bandits.bounds.bounds import Bounds, make_bounds
from router.document.document import Candidate, Document
from router.document.quarantine import find_quarantined
from router.draw.assignment import BUCKETS
from router.spec.bandit import BanditSpec
from router.spec.spec import Limits


def bounds_of(document: Document, bandit: BanditSpec, serving: Mapping[str, Candidate]) -> Bounds:
    """Return the bounds of the arms, in their order. `serving` is the version that serves each arm now.

    An arm whose version is in quarantine, or that has nothing to serve it, gets nothing.

    Raises:
        BanditError: no weights could keep to them.
    """
    limits = [_limits(document, arm, serving) for arm in document.spec.arms]
    change = BUCKETS if bandit.largest_change is None else bandit.largest_change
    return make_bounds(
        [Fraction(each.floor, BUCKETS) for each in limits],
        [Fraction(each.ceiling, BUCKETS) for each in limits],
        largest_change=Fraction(change, BUCKETS),
        burn_in=bandit.burn_in,
    )


def _limits(document: Document, arm: str, serving: Mapping[str, Candidate]) -> Limits:
    served = serving.get(arm)
    if served is None or find_quarantined(document, document.spec.arms[arm].model, served.digest) is not None:
        return Limits(0, 0)
    return document.spec.bandit_limits(arm)
