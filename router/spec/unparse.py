"""A route as an operator would write it. Decides.

`router.spec.parse.parse_spec` reads it back to the same spec.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.draw.layers import holdout_to_dict, layer_to_dict
from router.quantities import format_duration, format_percent, format_share
from router.spec.spec import DEFAULT_ALPHA, Guardrail, GuardrailKind, Limits, RolloutSpec, RouteSpec, ShadowSpec, Step


def spec_to_dict(spec: RouteSpec) -> dict[str, Any]:
    """The keys that `parse_spec` reads; those that say what is the default are left out."""
    written: dict[str, Any] = {"route": spec.route, "arms": {name: str(ref) for name, ref in spec.arms.items()}}
    optional = {
        "split": {arm: _percent(slots) for arm, slots in (spec.split or {}).items()},
        "rollout": spec.rollout and _rollout(spec.rollout),
        "unit": spec.unit,
        "fallback": spec.fallbacks is not None and _fallback(spec),
        "deadline": spec.deadline_s and format_duration(spec.deadline_s),
        "batch_wait": spec.batch_wait_s and format_duration(spec.batch_wait_s),
        "placement": spec.placement,
        "guardrails": [_guardrail(each) for each in spec.guardrails],
        "alpha": spec.alpha != DEFAULT_ALPHA and format_share(spec.alpha),
        "shadow": [_shadow(each) for each in spec.shadows],
        "limits": {arm: _limits(limits) for arm, limits in (spec.limits or {}).items()},
        "target": spec.target,
        "layer": spec.layer and layer_to_dict(spec.layer),
        "holdout": spec.holdout and holdout_to_dict(spec.holdout),
        "seed": spec.seed != spec.route and spec.seed,
    }
    return written | {key: value for key, value in optional.items() if value}


def _percent(slots: int) -> str:
    return format_percent(Fraction(slots, BUCKETS))


def _fallback(spec: RouteSpec) -> str | dict[str, str]:
    """One name where there is one trusted arm for all others."""
    named = dict(spec.fallbacks or {})
    if spec.otherwise is not None and named == {arm: spec.otherwise for arm in spec.arms if arm != spec.otherwise}:
        return spec.otherwise
    return named


def _rollout(rollout: RolloutSpec) -> dict[str, Any]:
    """What most steps have in common is said once."""
    base = list(rollout.base.items())
    common = max(rollout.steps, key=lambda step: (not step.approve, step.slots < BUCKETS))
    every_s = common.every_s if all(step.every_s for step in rollout.steps) else 0.0
    written: dict[str, Any] = {
        "of": rollout.of,
        "from": base[0][0] if len(base) == 1 else {arm: format_share(share) for arm, share in base},
        "steps": [_step(step, every_s, common.samples) for step in rollout.steps],
    }
    if every_s:
        written["every"] = format_duration(every_s)
    if common.samples != 1 or not every_s:
        written["samples"] = common.samples
    return written


def _step(step: Step, every_s: float, samples: int) -> dict[str, Any] | str:
    written: dict[str, Any] = {"weight": _percent(step.slots)}
    if step.every_s != every_s:
        written["every"] = format_duration(step.every_s)
    if step.samples != samples:
        written["samples"] = step.samples
    if step.approve:
        written["approve"] = True
    return written if len(written) > 1 else _percent(step.slots)


def _guardrail(guardrail: Guardrail) -> dict[str, Any]:
    margin = format_share(guardrail.margin)
    if guardrail.kind is GuardrailKind.SLOWER_THAN:
        return {str(guardrail.kind): format_duration(guardrail.slower_than_us / 1e6), "worse_by": margin}
    if guardrail.kind is not GuardrailKind.DISAGREEMENT:
        return {str(guardrail.kind): {"worse_by": margin}}
    options: dict[str, Any] = {"above": margin}
    if guardrail.sample_slots != BUCKETS:
        options["sample"] = _percent(guardrail.sample_slots)
    if guardrail.tolerance:
        options["tolerance"] = guardrail.tolerance
    return {str(guardrail.kind): options}


def _shadow(shadow: ShadowSpec) -> dict[str, Any]:
    written: dict[str, Any] = {"arm": shadow.name}
    if shadow.sample_slots != BUCKETS:
        written["sample"] = _percent(shadow.sample_slots)
    if shadow.against:
        written["against"] = shadow.against[0] if len(shadow.against) == 1 else list(shadow.against)
    if shadow.deadline_s != 1.0:
        written["deadline"] = format_duration(shadow.deadline_s)
    if shadow.placement != "process":
        written["placement"] = shadow.placement
    if shadow.tolerance:
        written["tolerance"] = shadow.tolerance
    return written


def _limits(limits: Limits) -> Mapping[str, str]:
    written = {}
    if limits.floor:
        written["floor"] = _percent(limits.floor)
    if limits.ceiling != BUCKETS:
        written["ceiling"] = _percent(limits.ceiling)
    return written or {"ceiling": "100%"}
