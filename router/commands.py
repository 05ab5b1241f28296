"""What operators may ask of a document, and what comes of it. Decides.

`apply(document, command)` returns the next document or raises `Rejected`; it never changes its argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from router.assignment import BUCKETS
from router.document import Document, RouteSpec
from router.errors import Rejected
from router.quantities import format_percent
from router.slots import allocate, quantise, reallocate


@dataclass(frozen=True, slots=True)
class Declare:
    """Make the route what `spec` says; slots move as little as the new weights allow."""

    spec: RouteSpec


@dataclass(frozen=True, slots=True)
class Shift:
    """Give the named arms these weights; what is left goes to the others in proportion to what they have."""

    weights: Mapping[str, Fraction]


Command = Declare | Shift


def apply(document: Document | None, command: Command) -> Document:
    """The next document.

    Raises:
        Rejected: the command is not allowed on this document.
    """
    if isinstance(command, Declare):
        return _declare(document, command.spec)
    if document is None:
        raise Rejected("There is no such route yet; declare it first with `pointsman apply -f FILE`.")
    return _declare(document, _shifted(document.spec, command.weights))


def _declare(document: Document | None, spec: RouteSpec) -> Document:
    if document is None:
        return Document(version=1, spec=spec, slots=allocate(spec.split))
    if document.spec.route != spec.route:
        raise Rejected(f"The document is of route {document.spec.route}, the declaration of route {spec.route}.")
    return Document(version=document.version + 1, spec=spec, slots=reallocate(document.slots, spec.split))


def _shifted(spec: RouteSpec, weights: Mapping[str, Fraction]) -> RouteSpec:
    if not weights:
        raise Rejected("Name at least one arm and its weight, such as canary=20.")
    for arm in weights:
        if arm not in spec.arms:
            raise Rejected(f"Route {spec.route} has no arm {arm!r}; its arms are {', '.join(spec.arms)}.")
        if weights[arm] < 0:
            raise Rejected(f"The weight of arm {arm} is negative.")
    if weights.keys() == spec.arms.keys():
        return replace(spec, split=quantise({arm: weights[arm] for arm in spec.arms}))
    rest = 1 - sum(weights.values(), Fraction(0))
    if rest < 0:
        raise Rejected(f"The weights sum to {float(100 * (1 - rest)):.10g}%; they must not exceed 100%.")
    return replace(spec, split=quantise({**_spread(spec, weights, rest), **weights}))


def _spread(spec: RouteSpec, named: Mapping[str, Fraction], rest: Fraction) -> dict[str, Fraction]:
    """The remaining arms' weights: `rest`, in proportion to what they have now. Keeps the order of the arms."""
    others = {arm: Fraction(slots, BUCKETS) for arm, slots in spec.split.items() if arm not in named}
    total = sum(others.values(), Fraction(0))
    if rest > 0 and total == 0 and len(others) != 1:
        raise Rejected(
            f"{format_percent(rest)} is left, and no other arm has traffic to share it in proportion; "
            "name the arm that shall have it."
        )
    scaled = {arm: (weight * rest / total if total else rest / len(others)) for arm, weight in others.items()}
    return {arm: scaled.get(arm, Fraction(0)) for arm in spec.arms}
