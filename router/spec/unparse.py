"""Turning a spec back into the declaration that an operator would write.

`router.spec.parse.parse_spec` reads it back to the same spec.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.draw.layers import unparse_holdout, unparse_layer
from router.quantities import format_duration, format_percent, format_share
from router.spec.parse_bandit import unparse_bandit
from router.spec.parse_log import unparse_log
from router.spec.parse_metrics import unparse_metrics
from router.spec.spec import (
    DEFAULT_ALPHA,
    CheckSpec,
    Guardrail,
    GuardrailKind,
    Limits,
    RolloutSpec,
    RouteSpec,
    ShadowSpec,
    Starts,
    Step,
)
from router.spec.value import unparse_arm


def unparse_spec(spec: RouteSpec) -> dict[str, Any]:
    """Return the keys that `parse_spec` reads, without those that hold the default."""
    required: dict[str, Any] = {
        "route": spec.route,
        "arms": {name: unparse_arm(ref) for name, ref in spec.arms.items()},
    }
    optional = {
        "split": {} if spec.learns else {arm: _percent(slots) for arm, slots in (spec.split or {}).items()},
        "bandit": spec.bandit and spec.learns and unparse_bandit(spec.bandit),
        "observe": spec.bandit and not spec.learns and unparse_bandit(spec.bandit),
        "rollout": spec.rollout and _unparse_rollout(spec.rollout),
        "unit": spec.unit,
        "fallback": spec.fallbacks is not None and _unparse_fallback(spec),
        "deadline": spec.deadline_s and format_duration(spec.deadline_s),
        "batch_wait": spec.batch_wait_s and format_duration(spec.batch_wait_s),
        "placement": spec.placement,
        "guardrails": [_unparse_guardrail(each) for each in spec.guardrails],
        "alpha": spec.alpha != DEFAULT_ALPHA and format_share(spec.alpha),
        "shadow": [_unparse_shadow(each) for each in spec.shadows],
        "limits": {arm: _unparse_limits(limits) for arm, limits in (spec.limits or {}).items()},
        "target": spec.target,
        "layer": spec.layer and unparse_layer(spec.layer),
        "holdout": spec.holdout and unparse_holdout(spec.holdout),
        "seed": spec.seed != spec.route and spec.seed,
        "require_tags": dict(spec.require_tags or {}),
        "check": spec.check and _unparse_check(spec.check),
        "metrics": unparse_metrics(spec.metrics),
        "log": unparse_log(spec.log),
    }
    return required | {key: value for key, value in optional.items() if value}


def _percent(slots: int) -> str:
    return format_percent(Fraction(slots, BUCKETS))


def _unparse_fallback(spec: RouteSpec) -> str | dict[str, str]:
    """Return the trusted arm's name if it is the fallback of all other arms, else a mapping."""
    named = dict(spec.fallbacks or {})
    if spec.trusted_arm is not None and named == {
        arm: spec.trusted_arm for arm in spec.arms if arm != spec.trusted_arm
    }:
        return spec.trusted_arm
    return named


def _unparse_rollout(rollout: RolloutSpec) -> dict[str, Any]:
    """Return the rollout. What most steps have in common is declared once, beside the steps."""
    base = list(rollout.base.items())
    common = max(rollout.steps, key=lambda step: (not step.approve, step.slots < BUCKETS))
    every_s = common.every_s if all(step.every_s for step in rollout.steps) else 0.0
    declared: dict[str, Any] = {
        "of": rollout.of,
        "from": base[0][0] if len(base) == 1 else {arm: format_share(share) for arm, share in base},
        "steps": [_unparse_step(step, every_s, common.samples) for step in rollout.steps],
    }
    if every_s:
        declared["every"] = format_duration(every_s)
    if common.samples != 1 or not every_s:
        declared["samples"] = common.samples
    if rollout.starts is not Starts.BY_HAND:
        declared["starts"] = str(rollout.starts)
    return declared


def _unparse_step(step: Step, every_s: float, samples: int) -> dict[str, Any] | str:
    declared: dict[str, Any] = {"weight": _percent(step.slots)}
    if step.every_s != every_s:
        declared["every"] = format_duration(step.every_s)
    if step.samples != samples:
        declared["samples"] = step.samples
    if step.approve:
        declared["approve"] = True
    return declared if len(declared) > 1 else _percent(step.slots)


def _unparse_guardrail(guardrail: Guardrail) -> dict[str, Any]:
    margin = format_share(guardrail.margin)
    if guardrail.kind is GuardrailKind.SLOWER_THAN:
        return {str(guardrail.kind): format_duration(guardrail.slower_than_us / 1e6), "worse_by": margin}
    if guardrail.kind is GuardrailKind.REWARD:
        return {str(guardrail.kind): {"metric": guardrail.metric, "worse_by": margin}}
    if guardrail.kind is not GuardrailKind.DISAGREEMENT:
        return {str(guardrail.kind): {"worse_by": margin}}
    options: dict[str, Any] = {"above": margin}
    if guardrail.sample_slots != BUCKETS:
        options["sample"] = _percent(guardrail.sample_slots)
    if guardrail.tolerance:
        options["tolerance"] = guardrail.tolerance
    return {str(guardrail.kind): options}


def _unparse_shadow(shadow: ShadowSpec) -> dict[str, Any]:
    declared: dict[str, Any] = {"arm": shadow.name}
    if shadow.sample_slots != BUCKETS:
        declared["sample"] = _percent(shadow.sample_slots)
    if shadow.against:
        declared["against"] = shadow.against[0] if len(shadow.against) == 1 else list(shadow.against)
    if shadow.deadline_s != 1.0:
        declared["deadline"] = format_duration(shadow.deadline_s)
    if shadow.placement != "process":
        declared["placement"] = shadow.placement
    if shadow.tolerance:
        declared["tolerance"] = shadow.tolerance
    return declared


def _unparse_check(check: CheckSpec) -> dict[str, Any]:
    declared: dict[str, Any] = {"logged": check.logged}
    if check.above is not None:
        declared["above"] = format_share(check.above)
    if check.tolerance:
        declared["tolerance"] = check.tolerance
    return declared


def _unparse_limits(limits: Limits) -> Mapping[str, str]:
    declared = {}
    if limits.floor:
        declared["floor"] = _percent(limits.floor)
    if limits.ceiling != BUCKETS:
        declared["ceiling"] = _percent(limits.ceiling)
    return declared or {"ceiling": "100%"}
