"""Parsing the route that an operator declares. YAML or JSON is a dict by now.

Every refusal is a sentence that names the key and says what is allowed.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.draw.layers import parse_holdout, parse_layer
from router.errors import Rejected
from router.quantities import format_duration, parse_duration_s, parse_share
from router.refusals import check_keys, short_repr
from router.spec.bandit import BanditSpec
from router.spec.condition import check_condition
from router.spec.metric import MetricSpec
from router.spec.parse_bandit import check_bandit, parse_bandit, parse_observer
from router.spec.parse_check import parse_check
from router.spec.parse_fallback import find_trusted_arm, parse_fallbacks
from router.spec.parse_guardrails import check_metrics, parse_guardrails
from router.spec.parse_limits import check_limits, parse_limits
from router.spec.parse_log import check_log, parse_log
from router.spec.parse_metrics import parse_metrics
from router.spec.parse_rollout import parse_rollout
from router.spec.parse_shadows import parse_shadows
from router.spec.parse_weights import parse_weights
from router.spec.references import parse_name
from router.spec.required_tags import parse_required_tags
from router.spec.spec import DEFAULT_ALPHA, ArmRef, Limits, RolloutSpec, RouteSpec
from router.spec.value import alike, check_values, parse_arm

MAX_ARMS = 64
MAX_BATCH_WAIT_S = 1.0
PLACEMENTS = ("replica", "process", "dedicated")

_KEYS = (
    "route", "arms", "split", "rollout", "unit", "fallback", "deadline", "batch_wait", "placement", "guardrails",
    "alpha", "shadow", "limits", "target", "layer", "holdout", "seed", "require_tags", "check", "metrics", "bandit",
    "observe", "log",
)  # fmt: skip
_KINDS = ("split", "rollout", "bandit")
_UNIT = re.compile(r"header:[A-Za-z0-9-]+|parameters\.[A-Za-z0-9_.-]+")
_LEAST_ALPHA, _MOST_ALPHA = Fraction(1, 10_000), Fraction(1, 5)


def parse_spec(raw: object) -> RouteSpec:
    """Read a declared route.

    Raises:
        Rejected: if it is not a legal declaration.
    """
    if not isinstance(raw, dict):
        raise Rejected("A route must be a mapping with the keys route, arms, and split, rollout or bandit.")
    check_keys(raw, _KEYS, "a route")
    route = parse_name(raw.get("route"), "route")
    arms = _parse_arms(raw.get("arms"))
    kinds = [kind for kind in _KINDS if raw.get(kind) is not None]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise Rejected(f"Route {route} must have one of split, rollout and bandit; it has {found}.")
    limits = parse_limits(raw.get("limits"), arms)
    metrics = parse_metrics(raw.get("metrics"))
    split: Mapping[str, int] | None = None
    if "split" in kinds:
        split = parse_weights(raw["split"], arms, "split")
        check_limits(split, limits)
    bandit = _parse_policy(raw, arms, metrics, split, limits)
    if bandit is not None and split is None:
        check_limits(bandit.first, limits)
        split = bandit.first
    rollout = None if "rollout" not in kinds else parse_rollout(raw["rollout"], arms)
    fallbacks = parse_fallbacks(raw.get("fallback"), arms)
    seed = _parse_seed(raw.get("seed"), route)
    spec = RouteSpec(
        route=route,
        arms=arms,
        seed=seed,
        split=split,
        rollout=rollout,
        unit=_parse_unit(raw.get("unit")),
        fallbacks=fallbacks,
        trusted_arm=find_trusted_arm(raw.get("fallback"), rollout),
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
        require_tags=parse_required_tags(raw.get("require_tags")),
        check=parse_check(raw.get("check")),
        metrics=metrics,
        bandit=bandit,
        log=parse_log(raw.get("log")),
    )
    _check_together(spec)
    return spec


def _check_together(spec: RouteSpec) -> None:
    """Reject keys that contradict each other, though each is right by itself."""
    trusted = spec.trusted_arm
    for key in ("target", "layer", "holdout", "guardrails"):
        if getattr(spec, key) and trusted is None:
            raise Rejected(
                f"{key} needs an arm that is trusted: say `fallback: ARM`"
                f"{' (or rollout.from: ARM)' if spec.rollout is not None else ''}."
            )
    if spec.guardrails and not spec.guarded_arms:
        raise Rejected("guardrails compare the other arms with the fallback, but this route has no other arm.")
    check_metrics(spec.guardrails, spec.metrics)
    check_values(spec)
    check_log(spec)
    limit = (spec.limits or {}).get(trusted or "")
    if spec.guardrails and limit is not None and limit.ceiling < BUCKETS:
        raise Rejected(f"guardrails give the traffic of the others to arm {trusted}, so limits may give it no ceiling.")
    if spec.rollout is not None:
        _check_rollout(spec, spec.rollout)
    if spec.bandit is not None:
        check_bandit(spec)


def _check_rollout(spec: RouteSpec, rollout: RolloutSpec) -> None:
    if spec.trusted_arm == rollout.of:
        raise Rejected(f"fallback names {rollout.of}, which is rolled out; the arm that is trusted is another.")
    for arm, limit in (spec.limits or {}).items():
        if limit.floor:
            raise Rejected(f"limits gives arm {arm} a floor; in a rollout every arm may come to have nothing.")
        most = rollout.steps[0].slots if arm == rollout.of else round(rollout.base.get(arm, 0) * BUCKETS)
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
    return alike({parse_name(name, "An arm's name"): parse_arm(arm, f"Arm {name}") for name, arm in raw.items()})


def _parse_policy(
    raw: Mapping[str, Any],
    arms: Mapping[str, ArmRef],
    metrics: tuple[MetricSpec, ...],
    split: Mapping[str, int] | None,
    limits: Mapping[str, Limits] | None,
) -> BanditSpec | None:
    """Read the policy of a bandit, or one that observes a split."""
    if raw.get("observe") is not None:
        if split is None:
            raise Rejected("observe lets a policy watch a split; rollouts and bandits move their weights themselves.")
        return parse_observer(raw["observe"], arms, metrics)
    return None if raw.get("bandit") is None else parse_bandit(raw["bandit"], arms, metrics, limits)


def _parse_seed(raw: object, route: str) -> str:
    if raw is None:
        return route
    if not isinstance(raw, str) or not raw or not raw.isprintable():  # a lone surrogate cannot be stored or printed
        raise Rejected("seed must be a non-empty string of printable characters.")
    return raw


def _parse_unit(raw: object) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or not _UNIT.fullmatch(raw):
        raise Rejected(f"unit must be header:<name> or parameters.<name>, not {short_repr(raw)}.")
    return raw.lower() if raw.startswith("header:") else raw


def _parse_batch_wait(raw: object) -> float | None:
    if raw is None:
        return None
    wait_s = parse_duration_s(raw, "batch_wait")
    if wait_s > MAX_BATCH_WAIT_S:
        longest = format_duration(MAX_BATCH_WAIT_S)
        raise Rejected(f"batch_wait is {format_duration(wait_s)}; it may be {longest} at most.")
    return wait_s


def parse_placement(raw: object, what: str) -> str | None:
    """Read where versions run. None leaves it to the versions.

    Raises:
        Rejected: if there is no such placement.
    """
    if raw is not None and raw not in PLACEMENTS:
        raise Rejected(f"{what} must be {', '.join(PLACEMENTS[:-1])} or {PLACEMENTS[-1]}, not {short_repr(raw)}.")
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
