"""Parsing the fallbacks of a declared route, and finding the arm that is trusted."""

from collections.abc import Mapping

from router.errors import Rejected
from router.refusals import short_repr
from router.spec.spec import ArmRef, RolloutSpec


def parse_fallbacks(raw: object, arms: Mapping[str, ArmRef]) -> dict[str, str] | None:
    """Read which arm answers if another one fails.

    Raises:
        Rejected: if an arm is unknown, or the fallbacks go in a circle.
    """
    if raw is None:
        return None
    named = {arm: raw for arm in arms if arm != raw} if isinstance(raw, str) else raw
    if not isinstance(named, dict) or (not named and not isinstance(raw, str)):
        raise Rejected("fallback must be an arm, or say for each arm which one answers where it fails.")
    for arm in (*named, *named.values(), *([raw] if isinstance(raw, str) else [])):
        if not isinstance(arm, str) or arm not in arms:
            raise Rejected(f"fallback names {short_repr(arm)}, which is not among the arms ({', '.join(arms)}).")
    for arm in named:
        _reject_circle(named, arm)
    return named


def _reject_circle(fallbacks: Mapping[str, str], arm: str) -> None:
    """Go from fallback to fallback, and reject a circle."""
    passed = [arm]
    while passed[-1] in fallbacks:
        after = fallbacks[passed[-1]]
        if after in passed:
            raise Rejected(f"fallback goes in a circle: {' -> '.join([*passed, after])}.")
        passed.append(after)


def find_trusted_arm(raw: object, rollout: RolloutSpec | None) -> str | None:
    """Return the arm that is trusted: the fallback of all other arms, or the one arm from which a rollout starts."""
    if isinstance(raw, str):
        return raw
    if rollout is not None and len(rollout.base) == 1:
        return next(iter(rollout.base))
    return None
