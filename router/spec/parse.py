"""Reads the route that an operator declares (YAML or JSON, already a dict), or says what is wrong with it. Decides."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from router.draw.layers import parse_holdout, parse_layer
from router.draw.slots import quantise
from router.errors import Rejected
from router.quantities import format_duration, parse_duration_s, parse_share
from router.refusals import check_keys, shown
from router.spec.condition import check_condition
from router.spec.parse_guardrails import parse_guardrails, parse_shadows
from router.spec.parse_rollout import parse_rollout
from router.spec.references import parse_name, parse_ref
from router.spec.spec import DEFAULT_ALPHA, ArmRef, Limits, RolloutSpec, RouteSpec

MAX_ARMS = 64
MAX_BATCH_WAIT_S = 1.0
PLACEMENTS = ("replica", "process", "dedicated")

_KEYS = (
    "route", "arms", "split", "rollout", "unit", "fallback", "deadline", "batch_wait", "placement", "guardrails",
    "alpha", "shadow", "limits", "target", "layer", "holdout", "seed",
)  # fmt: skip
_KINDS = ("split", "rollout")
_UNIT = re.compile(r"header:[A-Za-z0-9-]+|parameters\.[A-Za-z0-9_.-]+")
_LEAST_ALPHA, _MOST_ALPHA = Fraction(1, 10_000), Fraction(1, 5)
_ALL_SLOTS = 10_000


def parse_spec(raw: object) -> RouteSpec:
    """Checks a declared route.

    Raises:
        Rejected: with a sentence that names the key and says what is allowed.
    """
    if not isinstance(raw, dict):
        raise Rejected("A route must be a mapping with the keys route, arms, and split or rollout.")
    if "bandit" in raw:
        raise Rejected("Routes of kind bandit are not supported by this version of Pointsman; use split or rollout.")
    check_keys(raw, _KEYS, "a route")
    route = parse_name(raw.get("route"), "route")
    arms = _parse_arms(raw.get("arms"))
    kinds = [kind for kind in _KINDS if raw.get(kind) is not None]
    if len(kinds) != 1:
        raise Rejected(f"Route {route} must have either split or rollout; it has {' and '.join(kinds) or 'none'}.")
    limits = _parse_limits(raw.get("limits"), arms)
    split = None if "split" not in kinds else _parse_split(raw["split"], arms, limits)
    rollout = None if "rollout" not in kinds else parse_rollout(raw["rollout"], arms)
    fallbacks = _parse_fallbacks(raw.get("fallback"), arms)
    otherwise = _otherwise(raw.get("fallback"), rollout)
    seed = _parse_seed(raw.get("seed"), route)
    spec = RouteSpec(
        route=route,
        arms=arms,
        seed=seed,
        split=split,
        rollout=rollout,
        unit=_parse_unit(raw.get("unit")),
        fallbacks=fallbacks,
        otherwise=otherwise,
        deadline_s=None if raw.get("deadline") is None else parse_duration_s(raw["deadline"], "deadline"),
        batch_wait_s=_parse_batch_wait(raw.get("batch_wait")),
        placement=parse_placement(raw.get("placement"), "placement"),
        guardrails=parse_guardrails(raw.get("guardrails")),
        alpha=_parse_alpha(raw.get("alpha")),
        shadows=parse_shadows(raw.get("shadow"), arms, PLACEMENTS),
        limits=limits,
        target=_parse_target(raw.get("target")),
        layer=None if raw.get("layer") is None else parse_layer(raw["layer"]),
        holdout=None if raw.get("holdout") is None else parse_holdout(raw["holdout"], seed),
    )
    _check_together(spec)
    return spec


def _check_together(spec: RouteSpec) -> None:
    """What no key is wrong about by itself."""
    trusted = spec.otherwise
    for key in ("target", "layer", "holdout", "guardrails"):
        if getattr(spec, key) and trusted is None:
            raise Rejected(
                f"{key} needs an arm that is trusted: say `fallback: ARM`"
                f"{' (or rollout.from: ARM)' if spec.rollout is not None else ''}."
            )
    if spec.guardrails and not spec.guarded:
        raise Rejected("guardrails compare the other arms with the fallback, but this route has no other arm.")
    limit = (spec.limits or {}).get(trusted or "")
    if spec.guardrails and limit is not None and limit.ceiling < _ALL_SLOTS:
        raise Rejected(f"guardrails give the traffic of the others to arm {trusted}, so limits may give it no ceiling.")
    if spec.rollout is not None:
        _check_rollout(spec, spec.rollout)


def _check_rollout(spec: RouteSpec, rollout: RolloutSpec) -> None:
    if spec.otherwise == rollout.of:
        raise Rejected(f"fallback names {rollout.of}, which is rolled out; the arm that is trusted is another.")
    for arm, limit in (spec.limits or {}).items():
        if limit.floor:
            raise Rejected(f"limits gives arm {arm} a floor; in a rollout every arm may come to have nothing.")
        most = rollout.steps[0].slots if arm == rollout.of else round(rollout.base.get(arm, 0) * _ALL_SLOTS)
        if most > limit.ceiling:
            raise Rejected(
                f"limits gives arm {arm} a ceiling of {limit.ceiling / 100:g}%, "
                f"but the rollout begins with {most / 100:g}%."
            )


def _parse_arms(raw: object) -> dict[str, ArmRef]:
    if not isinstance(raw, dict) or not raw:
        raise Rejected("arms must name at least one arm, such as `stable: fraud@champion`.")
    if len(raw) > MAX_ARMS:
        raise Rejected(f"A route may have at most {MAX_ARMS} arms; this one has {len(raw)}.")
    return {parse_name(name, "An arm's name"): parse_ref(ref, f"Arm {name}") for name, ref in raw.items()}


def _parse_split(raw: object, arms: Mapping[str, ArmRef], limits: Mapping[str, Limits] | None) -> dict[str, int]:
    if not isinstance(raw, dict) or not raw:
        raise Rejected("split must give every arm its share, such as `{stable: 90%, canary: 10%}`.")
    for arm in raw:
        if arm not in arms:
            raise Rejected(f"split names arm {shown(arm)}, which is not among the arms ({', '.join(arms)}).")
    slots = quantise({arm: parse_share(raw.get(arm, 0), f"The weight of arm {arm}") for arm in arms})
    check_limits(slots, limits)
    return slots


def check_limits(slots: Mapping[str, int], limits: Mapping[str, Limits] | None) -> None:
    """Holds weights against the arms' limits.

    Raises:
        Rejected: a weight is below its floor or above its ceiling.
    """
    for arm, limit in (limits or {}).items():
        if not limit.floor <= slots[arm] <= limit.ceiling:
            raise Rejected(
                f"Arm {arm} would get {slots[arm] / 100:g}%, but its limits are {limit.floor / 100:g}% to "
                f"{limit.ceiling / 100:g}%."
            )


def _parse_limits(raw: object, arms: Mapping[str, ArmRef]) -> dict[str, Limits] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or not raw:
        raise Rejected("limits must name arms, such as `{canary: {ceiling: 20%}}`.")
    limits = {}
    for arm, limit in raw.items():
        if arm not in arms:
            raise Rejected(f"limits names arm {shown(arm)}, which is not among the arms ({', '.join(arms)}).")
        if not isinstance(limit, dict) or not limit or limit.keys() - {"floor", "ceiling"}:
            raise Rejected(f"limits.{arm} must have floor, ceiling or both, such as `{{ceiling: 20%}}`.")
        floor = round(parse_share(limit.get("floor", 0), f"limits.{arm}.floor") * _ALL_SLOTS)
        ceiling = round(parse_share(limit.get("ceiling", 1), f"limits.{arm}.ceiling") * _ALL_SLOTS)
        if floor > ceiling:
            raise Rejected(f"limits.{arm} has a floor above its ceiling.")
        limits[arm] = Limits(floor, ceiling)
    return limits


def _parse_seed(raw: object, route: str) -> str:
    if raw is None:
        return route
    if not isinstance(raw, str) or not raw or not raw.isprintable():  # lone surrogates cannot be stored nor shown
        raise Rejected("seed must be a non-empty string of printable characters.")
    return raw


def _parse_unit(raw: object) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or not _UNIT.fullmatch(raw):
        raise Rejected(f"unit must be header:<name> or parameters.<name>, not {shown(raw)}.")
    return raw.lower() if raw.startswith("header:") else raw


def _parse_fallbacks(raw: object, arms: Mapping[str, ArmRef]) -> dict[str, str] | None:
    if raw is None:
        return None
    named = {arm: raw for arm in arms if arm != raw} if isinstance(raw, str) else raw
    if not isinstance(named, dict) or (not named and not isinstance(raw, str)):
        raise Rejected("fallback must be an arm, or say for each arm which one answers where it fails.")
    for arm in (*named, *named.values(), *([raw] if isinstance(raw, str) else [])):
        if not isinstance(arm, str) or arm not in arms:
            raise Rejected(f"fallback names {shown(arm)}, which is not among the arms ({', '.join(arms)}).")
    for arm in named:
        _follow(named, arm)
    return named


def _follow(fallbacks: Mapping[str, str], arm: str) -> None:
    """Goes from fallback to fallback.

    Raises:
        Rejected: they go in a circle.
    """
    passed = [arm]
    while passed[-1] in fallbacks:
        after = fallbacks[passed[-1]]
        if after in passed:
            raise Rejected(f"fallback goes in a circle: {' -> '.join([*passed, after])}.")
        passed.append(after)


def _otherwise(raw: object, rollout: RolloutSpec | None) -> str | None:
    """The arm that is trusted: the one fallback of all, or the one that a rollout starts from."""
    if isinstance(raw, str):
        return raw
    if rollout is not None and len(rollout.base) == 1:
        return next(iter(rollout.base))
    return None


def _parse_batch_wait(raw: object) -> float | None:
    if raw is None:
        return None
    wait_s = parse_duration_s(raw, "batch_wait")
    if wait_s > MAX_BATCH_WAIT_S:
        longest = format_duration(MAX_BATCH_WAIT_S)
        raise Rejected(f"batch_wait is {format_duration(wait_s)}; it may be {longest} at most.")
    return wait_s


def parse_placement(raw: object, what: str) -> str | None:
    """Where versions run; None says nothing about it.

    Raises:
        Rejected: there is no such placement.
    """
    if raw is not None and raw not in PLACEMENTS:
        raise Rejected(f"{what} must be {', '.join(PLACEMENTS[:-1])} or {PLACEMENTS[-1]}, not {shown(raw)}.")
    return None if raw is None else str(raw)


def _parse_alpha(raw: object) -> Fraction:
    if raw is None:
        return DEFAULT_ALPHA
    alpha = parse_share(raw, "alpha")
    if not _LEAST_ALPHA <= alpha <= _MOST_ALPHA:
        raise Rejected(f"alpha is {raw}; it must lie between 0.01% and 20%.")
    return alpha


def _parse_target(raw: object) -> dict[str, Any] | None:
    if raw is None:
        return None
    check_condition(raw)
    return dict(raw) or None if isinstance(raw, dict) else None
