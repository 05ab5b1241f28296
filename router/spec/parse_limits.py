"""Parsing the least and the most traffic that arms may get, and checking weights against it."""

from collections.abc import Mapping

from router.draw.assignment import BUCKETS
from router.draw.slots import require_a_slot
from router.errors import Rejected
from router.quantities import parse_share
from router.refusals import short_repr
from router.spec.spec import ArmRef, Limits


def parse_limits(raw: object, arms: Mapping[str, ArmRef]) -> dict[str, Limits] | None:
    """Read the limits of a declared route.

    Raises:
        Rejected: if an arm is unknown, or its limits are not a floor, a ceiling or both.
    """
    if raw is None:
        return None
    if not isinstance(raw, dict) or not raw:
        raise Rejected("limits must name arms, such as `{canary: {ceiling: 20%}}`.")
    limits = {}
    for arm, limit in raw.items():
        if arm not in arms:
            raise Rejected(f"limits names arm {short_repr(arm)}, which is not among the arms ({', '.join(arms)}).")
        if not isinstance(limit, dict) or not limit or limit.keys() - {"floor", "ceiling"}:
            raise Rejected(f"limits.{arm} must have floor, ceiling or both, such as `{{ceiling: 20%}}`.")
        floor = _parse_limit(limit.get("floor", 0), f"limits.{arm}.floor")
        ceiling = _parse_limit(limit.get("ceiling", 1), f"limits.{arm}.ceiling")
        if floor > ceiling:
            raise Rejected(f"limits.{arm} has a floor above its ceiling.")
        limits[arm] = Limits(floor, ceiling)
    return limits


def _parse_limit(raw: object, what: str) -> int:
    share = parse_share(raw, what)
    require_a_slot(share, what)
    return round(share * BUCKETS)


def check_limits(slots: Mapping[str, int], limits: Mapping[str, Limits] | None) -> None:
    """Check weights against the arms' limits.

    Raises:
        Rejected: if a weight is below its floor or above its ceiling.
    """
    for arm, limit in (limits or {}).items():
        if not limit.floor <= slots[arm] <= limit.ceiling:
            raise Rejected(
                f"Arm {arm} would get {slots[arm] / 100:g}%, but its limits are {limit.floor / 100:g}% to "
                f"{limit.ceiling / 100:g}%."
            )
