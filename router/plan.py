"""A route and a call in, a plan out.

The cases are tried in this order:

1. The path pins a version.
2. A header forces an arm.
3. The request is not admitted to the draw: it is outside the target, outside the layer, or held out.
4. The request has a unit, whose bucket gives the arm.
5. The request has no unit. The bucket of its decision id gives the arm.

Where a bandit's weights depend on the request, the caller of this function brings the slots of each arm.

Where a bandit is evaluated, a slice of the units (or of the requests) is drawn in the same way and not learned from.

A pinned or forced plan has no propensity, because its arm was not drawn. It has no fallbacks, because the caller wants
to see that one arm. If its version is in quarantine, the request is refused. A request that is not admitted gets the
trusted arm, also without a propensity. Layers and holdouts look at the unit or, without one, at the decision id, as the
draw does.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from router.draw.assignment import BUCKETS, bucket
from router.draw.layers import is_held_out, is_in_layer
from router.errors import Quarantined, UnknownVersion
from router.snapshot import Admission, Arm, Route


class Reason(StrEnum):
    """Why this arm. Response headers, the log and the metrics use the same words."""

    PINNED = "PINNED"  # the path named a version or alias
    FORCED = "FORCED"  # the x-force-arm header named an arm
    NOT_TARGETED = "NOT_TARGETED"  # the request does not fulfil the route's condition
    OTHER_LAYER = "OTHER_LAYER"  # the unit is outside the route's range of its layer
    HELD_OUT = "HELD_OUT"  # the unit is in the holdout
    STICKY = "STICKY"  # drawn by the unit's bucket: the same unit gets the same arm
    WEIGHTED = "WEIGHTED"  # drawn for this request alone
    EVALUATED = "EVALUATED"  # drawn like the others, in the slice from which a bandit does not learn
    FALLBACK = "FALLBACK"  # the arm of the plan failed or was too late
    SHADOW = "SHADOW"  # a shadow's answer, which the caller does not see


class Plan(NamedTuple):
    """The arm to run, and the arms to try in turn if it fails. All are indices into `route.arms`."""

    primary: int
    fallbacks: tuple[int, ...]
    reason: Reason
    propensity: float | None


def plan(
    route: Route,
    decision_id: str,
    *,
    unit: str | None = None,
    forced_arm: str | None = None,
    pinned_version: str | None = None,
    is_targeted: bool = True,
    slots: Sequence[int] | None = None,
) -> Plan:
    """Return the plan of one request.

    The draw is a function of the route's seed and the unit or, without a unit, the decision id. `slots` are those of
    each arm for this request, where they depend on it. They sum to 10,000.

    Raises:
        UnknownVersion: if no arm has the pinned version or alias, or the forced name.
        Quarantined: if that arm's version is in quarantine on this route.
    """
    if pinned_version is not None:
        return Plan(_released(route, _pinned(route, pinned_version)), (), Reason.PINNED, None)
    if forced_arm is not None:
        return Plan(_released(route, _forced(route, forced_arm)), (), Reason.FORCED, None)
    key = decision_id if unit is None else unit
    if route.admission is not None:
        exclusion = _exclusion(route.admission, key, is_targeted)
        if exclusion is not None:
            trusted = route.admission.trusted
            return Plan(trusted, route.fallbacks[trusted], exclusion, None)
    drawn = bucket(route.seed_state, key)
    primary = route.table[drawn] if slots is None else _owner(slots, drawn)
    reason = Reason.WEIGHTED if unit is None else Reason.STICKY
    if route.evaluation is not None and is_held_out(route.evaluation, key):
        reason = Reason.EVALUATED
    propensity = route.arms[primary].propensity if slots is None else slots[primary] / BUCKETS
    return Plan(primary, route.fallbacks[primary], reason, propensity)


def _owner(slots: Sequence[int], drawn: int) -> int:
    """Return the arm that owns a bucket, if each arm in turn owns as many buckets as it has slots."""
    for arm, owned in enumerate(slots):
        drawn -= owned
        if drawn < 0:
            return arm
    raise ValueError(f"The slots of a request sum to {sum(slots)}.")


def _exclusion(admission: Admission, key: str, is_targeted: bool) -> Reason | None:
    """Return why a request takes no part in the draw, or None if it does."""
    if admission.has_target and not is_targeted:
        return Reason.NOT_TARGETED
    if admission.layer is not None and not is_in_layer(admission.layer, key):
        return Reason.OTHER_LAYER
    if admission.holdout is not None and is_held_out(admission.holdout, key):
        return Reason.HELD_OUT
    return None


def find_version(route: Route, version: str) -> Arm:
    """Return the arm that serves a version or alias. If several do, return the one with the most traffic.

    Two arms may name one alias: after a promotion, the one that was rolled out has the traffic. A version, and an
    alias that the document names, come before the other aliases of the versions.

    Raises:
        UnknownVersion: if none does. The sentence lists the versions that are served.
    """
    return route.arms[_pinned(route, version)]


def _pinned(route: Route, version: str) -> int:
    named = [index for index, arm in enumerate(route.arms) if version in (arm.version, arm.alias)]
    if named:
        return max(named, key=lambda index: route.arms[index].slots)  # the first one of those with the most
    for index, arm in enumerate(route.arms):
        if version in arm.aliases:
            return index
    served = ", ".join(f"{arm.version} ({arm.name})" for arm in route.arms)
    raise UnknownVersion(f"Route {route.name} serves no version or alias {version!r}; it serves {served}.")


def _released(route: Route, index: int) -> int:
    """Return the index of an arm, unless the arm's version is in quarantine."""
    if route.arms[index].refusal:
        raise Quarantined(route.arms[index].refusal)
    return index


def _forced(route: Route, name: str) -> int:
    for index, arm in enumerate(route.arms):
        if arm.name == name:
            return index
    names = ", ".join(arm.name for arm in route.arms)
    raise UnknownVersion(f"Route {route.name} has no arm {name!r}; its arms are {names}.")
