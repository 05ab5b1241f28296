"""Parsing the shadows of a declared route."""

from collections.abc import Mapping

from router.errors import Rejected
from router.quantities import parse_duration_s
from router.refusals import check_keys, short_repr
from router.spec.parse_guardrails import parse_sample, parse_tolerance
from router.spec.references import parse_ref
from router.spec.spec import ArmRef, ShadowSpec

MAX_SHADOWS = 8
MAX_SHADOW_DEADLINE_S = 60.0

_KEYS = ("arm", "sample", "against", "deadline", "placement", "tolerance")


def parse_shadows(raw: object, arms: Mapping[str, ArmRef], placements: tuple[str, ...]) -> tuple[ShadowSpec, ...]:
    """Read shadows.

    Raises:
        Rejected: if they are not a legal list of shadows.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > MAX_SHADOWS:
        raise Rejected(f"shadow must be a list of at most {MAX_SHADOWS}, such as `[{{arm: fraud:17, sample: 20%}}]`.")
    shadows = tuple(_parse_shadow(each, f"shadow[{index}]", arms, placements) for index, each in enumerate(raw))
    names = [shadow.name for shadow in shadows]
    for name in names:
        if names.count(name) > 1:
            raise Rejected(f"shadow names {name} twice.")
    return shadows


def _parse_shadow(raw: object, what: str, arms: Mapping[str, ArmRef], placements: tuple[str, ...]) -> ShadowSpec:
    if not isinstance(raw, dict):
        raise Rejected(f"{what} must be a mapping such as `{{arm: fraud:17, sample: 20%}}`.")
    check_keys(raw, _KEYS, what)
    arm = raw.get("arm")
    is_arm = isinstance(arm, str) and arm in arms
    deadline_s = 1.0 if raw.get("deadline") is None else parse_duration_s(raw["deadline"], f"{what}.deadline")
    if deadline_s > MAX_SHADOW_DEADLINE_S:
        raise Rejected(f"{what}.deadline may be {MAX_SHADOW_DEADLINE_S:g}s at most.")
    placement = raw.get("placement", "process")
    if placement not in placements:
        raise Rejected(
            f"{what}.placement must be {', '.join(placements[:-1])} or {placements[-1]}, not {short_repr(placement)}."
        )
    return ShadowSpec(
        sample_slots=parse_sample(raw, what),
        arm=str(arm) if is_arm else None,
        ref=None if is_arm else parse_ref(arm, f"{what}.arm is no arm of the route, so it"),
        against=_parse_against(raw.get("against"), f"{what}.against", arm, arms),
        deadline_s=deadline_s,
        placement=str(placement),
        tolerance=parse_tolerance(raw, what),
    )


def _parse_against(raw: object, what: str, arm: object, arms: Mapping[str, ArmRef]) -> tuple[str, ...]:
    if raw is None:
        return ()
    named = raw if isinstance(raw, list) else [raw]
    for each in named:
        if not isinstance(each, str) or each not in arms:
            raise Rejected(f"{what} names {short_repr(each)}, which is not among the arms ({', '.join(arms)}).")
        if each == arm:
            raise Rejected(f"{what} names {arm} itself.")
    return tuple(dict.fromkeys(named))
