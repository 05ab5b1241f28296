"""A route and a call in, a plan out. Decides.

The cases, in this order: pinned by version in the path -> forced by header -> sticky by unit -> by weight. A pinned
or forced decision has no propensity, for it was not drawn, and no fallback: who asks for one arm wants to see it.
"""

from enum import StrEnum
from typing import NamedTuple

from router.assignment import bucket
from router.errors import UnknownVersion
from router.snapshot import Arm, Route


class Reason(StrEnum):
    """Why this arm. Spelled alike in the answer's headers, in the log and in metrics."""

    PINNED = "PINNED"  # the path named a version or alias
    FORCED = "FORCED"  # the x-force-arm header named an arm
    STICKY = "STICKY"  # drawn by the unit's bucket: the same unit gets the same arm
    WEIGHTED = "WEIGHTED"  # drawn for this request alone
    FALLBACK = "FALLBACK"  # the arm that was decided failed or was too late


class Plan(NamedTuple):
    """Which arm to run, and which to run if it fails; indices into `route.arms`."""

    primary: int
    fallback: int | None
    reason: Reason
    propensity: float | None


def plan(
    route: Route,
    decision_id: str,
    unit: str | None = None,
    forced_arm: str | None = None,
    pinned_version: str | None = None,
) -> Plan:
    """Decides one request. The draw is a function of the route's seed and the unit, or else the decision id.

    Raises:
        UnknownVersion: no arm serves the pinned version or alias, or bears the forced name.
    """
    if pinned_version is not None:
        return Plan(_pinned(route, pinned_version), None, Reason.PINNED, None)
    if forced_arm is not None:
        return Plan(_forced(route, forced_arm), None, Reason.FORCED, None)
    if unit is not None:
        primary, reason = route.table[bucket(route.seed_state, unit)], Reason.STICKY
    else:
        primary, reason = route.table[bucket(route.seed_state, decision_id)], Reason.WEIGHTED
    fallback = route.fallback if route.fallback != primary else None
    return Plan(primary, fallback, reason, route.arms[primary].propensity)


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
