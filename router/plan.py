"""A route and a call in, a plan out. Decides.

The cases, in this order: pinned by version in the path -> forced by header -> not admitted to the draw (outside of
the target, of the layer, or held out) -> sticky by unit -> by weight. A pinned or forced decision has no propensity,
for it was not drawn, and no fallback: who asks for one arm wants to see it. Who is not admitted gets the trusted arm,
without a propensity either. Layers and holdouts look at the unit, or else at the decision id, as the draw does.
"""

from enum import StrEnum
from typing import NamedTuple

from router.draw.assignment import bucket
from router.draw.layers import is_held_out, is_in_layer
from router.errors import UnknownVersion
from router.snapshot import Admission, Arm, Route


class Reason(StrEnum):
    """Why this arm. Spelled alike in the answer's headers, in the log and in metrics."""

    PINNED = "PINNED"  # the path named a version or alias
    FORCED = "FORCED"  # the x-force-arm header named an arm
    NOT_TARGETED = "NOT_TARGETED"  # the request does not fulfil the route's condition
    OTHER_LAYER = "OTHER_LAYER"  # the unit is outside of the route's range of its layer
    HELD_OUT = "HELD_OUT"  # the unit is in the holdout
    STICKY = "STICKY"  # drawn by the unit's bucket: the same unit gets the same arm
    WEIGHTED = "WEIGHTED"  # drawn for this request alone
    FALLBACK = "FALLBACK"  # the arm that was decided failed or was too late
    SHADOW = "SHADOW"  # answered as well, unseen by the caller


class Plan(NamedTuple):
    """Which arm to run, and which to run one after the other if it fails; indices into `route.arms`."""

    primary: int
    fallbacks: tuple[int, ...]
    reason: Reason
    propensity: float | None


def plan(
    route: Route,
    decision_id: str,
    unit: str | None = None,
    forced_arm: str | None = None,
    pinned_version: str | None = None,
    is_targeted: bool = True,
) -> Plan:
    """Decides one request. The draw is a function of the route's seed and the unit, or else the decision id.

    Raises:
        UnknownVersion: no arm serves the pinned version or alias, or bears the forced name.
    """
    if pinned_version is not None:
        return Plan(_pinned(route, pinned_version), (), Reason.PINNED, None)
    if forced_arm is not None:
        return Plan(_forced(route, forced_arm), (), Reason.FORCED, None)
    key = decision_id if unit is None else unit
    if route.admission is not None:
        refused = _refused(route.admission, key, is_targeted)
        if refused is not None:
            otherwise = route.admission.otherwise
            return Plan(otherwise, route.fallbacks[otherwise], refused, None)
    primary = route.table[bucket(route.seed_state, key)]
    reason = Reason.WEIGHTED if unit is None else Reason.STICKY
    return Plan(primary, route.fallbacks[primary], reason, route.arms[primary].propensity)


def _refused(admission: Admission, key: str, is_targeted: bool) -> Reason | None:
    """Why a request does not take part in the draw; None if it does."""
    if admission.has_target and not is_targeted:
        return Reason.NOT_TARGETED
    if admission.layer is not None and not is_in_layer(admission.layer, key):
        return Reason.OTHER_LAYER
    if admission.holdout is not None and is_held_out(admission.holdout, key):
        return Reason.HELD_OUT
    return None


def find_version(route: Route, version: str) -> Arm:
    """The arm that serves a version or alias, the first one declared if several do.

    Raises:
        UnknownVersion: none does; the sentence lists what there is.
    """
    return route.arms[_pinned(route, version)]


def _pinned(route: Route, version: str) -> int:
    for index, arm in enumerate(route.arms):
        if version in (arm.version, arm.alias):
            return index
    served = ", ".join(f"{arm.version} ({arm.name})" for arm in route.arms)
    raise UnknownVersion(f"Route {route.name} serves no version or alias {version!r}; it serves {served}.")


def _forced(route: Route, name: str) -> int:
    for index, arm in enumerate(route.arms):
        if arm.name == name:
            return index
    names = ", ".join(arm.name for arm in route.arms)
    raise UnknownVersion(f"Route {route.name} has no arm {name!r}; its arms are {names}.")
