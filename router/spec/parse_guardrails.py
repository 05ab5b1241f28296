"""Reads the guardrails and shadows of a declared route. Decides."""

import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.errors import Rejected
from router.quantities import parse_duration_s, parse_share
from router.refusals import check_keys, shown
from router.spec.references import parse_ref
from router.spec.spec import ArmRef, Guardrail, GuardrailKind, ShadowSpec

MAX_GUARDRAILS = 16
MAX_SHADOWS = 8
MAX_SHADOW_DEADLINE_S = 60.0
_MOST_TOLERANCE = sys.float_info.max

_SHADOW_KEYS = ("arm", "sample", "against", "deadline", "placement", "tolerance")


def parse_guardrails(raw: object) -> tuple[Guardrail, ...]:
    """Checks guardrails.

    Raises:
        Rejected: with a sentence that names the key and says what is allowed.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > MAX_GUARDRAILS:
        raise Rejected(f"guardrails must be a list of at most {MAX_GUARDRAILS}.")
    parsed = tuple(_parse_guardrail(each, f"guardrails[{index}]") for index, each in enumerate(raw))
    seen = set()
    for guardrail in parsed:
        if (guardrail.kind, guardrail.slower_than_us) in seen:
            raise Rejected(f"guardrails watches {guardrail.kind} twice.")
        seen.add((guardrail.kind, guardrail.slower_than_us))
    return parsed


def _parse_guardrail(raw: object, what: str) -> Guardrail:
    kinds = [kind for kind in GuardrailKind if isinstance(raw, dict) and kind in raw]
    if not isinstance(raw, dict) or len(kinds) != 1:
        raise Rejected(f"{what} must have one of {', '.join(GuardrailKind)}, such as `errors: {{worse_by: 1%}}`.")
    kind = kinds[0]
    if kind is GuardrailKind.SLOWER_THAN:
        check_keys(raw, (kind, "worse_by"), what)
        threshold_us = round(parse_duration_s(raw[kind], f"{what}.{kind}") * 1_000_000)
        return Guardrail(kind, _margin(raw, "worse_by", what), slower_than_us=threshold_us)
    check_keys(raw, (kind,), what)
    options = raw[kind]
    if not isinstance(options, dict):
        key = "above" if kind is GuardrailKind.DISAGREEMENT else "worse_by"
        raise Rejected(f"{what}.{kind} must say how much is allowed, such as `{{{key}: 1%}}`.")
    if kind is not GuardrailKind.DISAGREEMENT:
        check_keys(options, ("worse_by",), f"{what}.{kind}")
        return Guardrail(kind, _margin(options, "worse_by", f"{what}.{kind}"))
    check_keys(options, ("above", "sample", "tolerance"), f"{what}.{kind}")
    return Guardrail(
        kind,
        _margin(options, "above", f"{what}.{kind}"),
        sample_slots=_sample(options, f"{what}.{kind}"),
        tolerance=_tolerance(options, f"{what}.{kind}"),
    )


def parse_shadows(raw: object, arms: Mapping[str, ArmRef], placements: tuple[str, ...]) -> tuple[ShadowSpec, ...]:
    """Checks shadows.

    Raises:
        Rejected: with a sentence that names the key and says what is allowed.
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
    check_keys(raw, _SHADOW_KEYS, what)
    arm = raw.get("arm")
    is_arm = isinstance(arm, str) and arm in arms
    deadline_s = 1.0 if raw.get("deadline") is None else parse_duration_s(raw["deadline"], f"{what}.deadline")
    if deadline_s > MAX_SHADOW_DEADLINE_S:
        raise Rejected(f"{what}.deadline may be {MAX_SHADOW_DEADLINE_S:g}s at most.")
    placement = raw.get("placement", "process")
    if placement not in placements:
        raise Rejected(
            f"{what}.placement must be {', '.join(placements[:-1])} or {placements[-1]}, not {shown(placement)}."
        )
    return ShadowSpec(
        sample_slots=_sample(raw, what),
        arm=str(arm) if is_arm else None,
        ref=None if is_arm else parse_ref(arm, f"{what}.arm is no arm of the route, so it"),
        against=_parse_against(raw.get("against"), f"{what}.against", arm, arms),
        deadline_s=deadline_s,
        placement=str(placement),
        tolerance=_tolerance(raw, what),
    )


def _parse_against(raw: object, what: str, arm: object, arms: Mapping[str, ArmRef]) -> tuple[str, ...]:
    if raw is None:
        return ()
    named = raw if isinstance(raw, list) else [raw]
    for each in named:
        if not isinstance(each, str) or each not in arms:
            raise Rejected(f"{what} names {shown(each)}, which is not among the arms ({', '.join(arms)}).")
        if each == arm:
            raise Rejected(f"{what} names {arm} itself.")
    return tuple(dict.fromkeys(named))


def _margin(raw: Mapping[str, Any], key: str, what: str) -> Fraction:
    if key not in raw:
        raise Rejected(f"{what} must say how much is allowed, such as `{key}: 1%`.")
    margin = parse_share(raw[key], f"{what}.{key}")
    if margin >= 1:
        raise Rejected(f"{what}.{key} is 100%, which allows everything.")
    if key == "above" and margin == 0:
        raise Rejected(f"{what}.above is 0%: the first answer that differs would end it; allow at least 0.01%.")
    return margin


def _sample(raw: Mapping[str, Any], what: str) -> int:
    slots = round(parse_share(raw.get("sample", 1), f"{what}.sample") * BUCKETS)
    if slots < 1:
        raise Rejected(f"{what}.sample is nothing; the least is 0.01%.")
    return slots


def _tolerance(raw: Mapping[str, Any], what: str) -> float:
    tolerance = raw.get("tolerance", 0.0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= _MOST_TOLERANCE:
        raise Rejected(f"{what}.tolerance must be a number that is not negative, not {shown(tolerance)}.")
    return float(tolerance)
