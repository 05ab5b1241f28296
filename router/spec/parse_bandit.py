"""Parsing the bandit of a declared route.

It looks like this:

    bandit:
      policy: thompson                # or with parameters: {softmax: {temperature: 0.1}}
      reward: click
      from: {a: 50%, b: 50%}          # the weights before it has learned anything; without it they are equal
      floor: 2%
      burn_in: 200
      discount: 6h
      max_change: 10%
      evaluate: 5%
      stop: {within: 1%, error: 5%, then: promote}
      context: {parameters.age: {from: 18, to: 99}}   # for a policy whose weights depend on the request

A split may have a policy that only observes, with the same keys but `from`:

    split: {a: 50%, b: 50%}
    observe: {policy: thompson, reward: click}
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.draw.slots import quantise, require_a_slot
from router.errors import Rejected
from router.quantities import format_duration, format_percent, format_share, parse_duration_s, parse_share
from router.refusals import check_keys, short_repr
from router.spec.bandit import DEFAULT_BURN_IN, DEFAULT_ERROR, DEFAULT_FLOOR, BanditSpec, StopRule
from router.spec.context import parse_context, unparse_context
from router.spec.metric import MetricSpec
from router.spec.parse_weights import parse_weights
from router.spec.references import parse_name
from router.spec.spec import ArmRef, Limits, RouteSpec

MOST_BURN_IN = 10**9
_KEYS = ("policy", "reward", "floor", "burn_in", "discount", "max_change", "evaluate", "stop", "context")
_STOP_KEYS = ("within", "error", "then")


def parse_bandit(
    raw: object,
    arms: Mapping[str, ArmRef],
    metrics: tuple[MetricSpec, ...],
    limits: Mapping[str, Limits] | None = None,
) -> BanditSpec:
    """Read a bandit. Its first weights keep to the limits' ceilings, unless `from` gives them.

    Raises:
        Rejected: if it is no legal bandit.
    """
    bandit = _parse(raw, "bandit", (*_KEYS, "from"), arms, metrics, acts=True)
    named = raw.get("from") if isinstance(raw, dict) else None
    return replace(bandit, first=_parse_first(named, arms, limits))


def parse_observer(raw: object, arms: Mapping[str, ArmRef], metrics: tuple[MetricSpec, ...]) -> BanditSpec:
    """Read a policy that observes a split.

    Raises:
        Rejected: if it is no legal policy.
    """
    return _parse(raw, "observe", _KEYS, arms, metrics, acts=False)


def check_bandit(spec: RouteSpec) -> None:
    """Check that the arms' limits leave a bandit room.

    Raises:
        Rejected: if the least weights of the arms sum to more than 100 %.
    """
    least = sum(spec.bandit_limits(arm).floor for arm in spec.arms)
    if least > BUCKETS:
        raise Rejected(f"The floors of the arms sum to {least / 100:g}%; a bandit needs room to move.")


def unparse_bandit(bandit: BanditSpec) -> dict[str, Any]:
    """Return the declaration of a bandit, without what is the default."""
    first = dict(bandit.first)
    parameters = dict(bandit.parameters)
    declared: dict[str, Any] = {
        "policy": {bandit.policy: parameters} if parameters else bandit.policy, "reward": bandit.reward,
    }  # fmt: skip
    if bandit.acts and first != quantise({arm: Fraction(1, len(first)) for arm in first}):
        declared["from"] = {arm: _percent(slots) for arm, slots in first.items()}
    if bandit.floor != DEFAULT_FLOOR:
        declared["floor"] = _percent(bandit.floor)
    if bandit.burn_in != DEFAULT_BURN_IN:
        declared["burn_in"] = bandit.burn_in
    if bandit.half_life_s is not None:
        declared["discount"] = format_duration(bandit.half_life_s)
    if bandit.largest_change is not None:
        declared["max_change"] = _percent(bandit.largest_change)
    if bandit.evaluation:
        declared["evaluate"] = _percent(bandit.evaluation)
    if bandit.stop is not None:
        declared["stop"] = _unparse_stop(bandit.stop)
    if bandit.context:
        declared["context"] = unparse_context(bandit.context)
    return declared


def _parse(
    raw: object,
    what: str,
    keys: tuple[str, ...],
    arms: Mapping[str, ArmRef],
    metrics: tuple[MetricSpec, ...],
    *,
    acts: bool,
) -> BanditSpec:
    if not isinstance(raw, dict):
        raise Rejected(f"{what} must say which policy maximises what: {{policy: thompson, reward: click}}.")
    check_keys(raw, keys, what)
    if len(arms) < 2:
        raise Rejected(f"{what} needs at least two arms; this route has one.")
    policy, parameters = _parse_policy(raw.get("policy"), f"{what}.policy")
    if raw.get("stop") is not None and raw.get("discount") is not None:
        raise Rejected(
            f"{what} has stop and discount; evidence that is forgotten proves no arm the best. Leave one out."
        )
    if raw.get("context") is not None:
        _check_contextual(raw, what)
    return BanditSpec(
        policy=policy,
        reward=_parse_reward(raw.get("reward"), f"{what}.reward", metrics),
        first={},
        parameters=parameters,
        floor=_parse_floor(raw.get("floor"), f"{what}.floor", len(arms)),
        burn_in=_parse_burn_in(raw.get("burn_in"), f"{what}.burn_in"),
        half_life_s=None if raw.get("discount") is None else parse_duration_s(raw["discount"], f"{what}.discount"),
        largest_change=None if raw.get("max_change") is None else _parse_slots(raw["max_change"], f"{what}.max_change"),
        evaluation=0 if raw.get("evaluate") is None else _parse_slots(raw["evaluate"], f"{what}.evaluate"),
        stop=None if raw.get("stop") is None else _parse_stop(raw["stop"], f"{what}.stop"),
        context=parse_context(raw.get("context"), f"{what}.context"),
        acts=acts,
    )


def _check_contextual(raw: Mapping[str, Any], what: str) -> None:
    """Reject keys that mean nothing where each request has weights of its own."""
    for key, why in (
        ("stop", "which arm is best depends on the request"),
        ("max_change", "weights are made for each request"),
    ):
        if raw.get(key) is not None:
            raise Rejected(f"{what} has context and {key}; {why}. Leave one out.")


def _parse_first(raw: object, arms: Mapping[str, ArmRef], limits: Mapping[str, Limits] | None) -> dict[str, int]:
    """Return the slots of each arm before anything is learned: what `from` says, or equal shares below the ceilings."""
    if raw is not None:
        return parse_weights(raw, arms, "bandit.from")
    ceilings = {arm: Fraction(limit.ceiling, BUCKETS) for arm, limit in (limits or {}).items()}
    shares: dict[str, Fraction] = {}
    while len(shares) < len(arms):
        equal = (1 - sum(shares.values(), Fraction(0))) / (len(arms) - len(shares))
        full = {arm: ceiling for arm, ceiling in ceilings.items() if arm not in shares and ceiling < equal}
        shares |= full or {arm: equal for arm in arms if arm not in shares}
    if sum(shares.values()) != 1:
        raise Rejected("The ceilings of the arms sum to less than 100%; raise one of them.")
    return quantise({arm: shares[arm] for arm in arms})


def _parse_policy(raw: object, what: str) -> tuple[str, dict[str, float]]:
    if isinstance(raw, str):
        return parse_name(raw, what), {}
    if not isinstance(raw, dict) or len(raw) != 1:
        form = "{NAME: {PARAMETER: NUMBER}}"
        raise Rejected(f"{what} must be the name of a policy, or {form}, not {short_repr(raw)}.")
    ((name, given),) = raw.items()
    name = parse_name(name, what)
    if not isinstance(given, dict):
        raise Rejected(f"{what}.{name} must give parameters their numbers, not {short_repr(given)}.")
    parameters = {parse_name(key, f"A parameter of {name}"): each for key, each in given.items()}
    return name, {key: _parse_number(each, f"{what}.{name}.{key}") for key, each in sorted(parameters.items())}


def _parse_number(raw: object, what: str) -> float:
    if isinstance(raw, str):
        return float(parse_share(raw, what))
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw) or abs(raw) > 1e9:
        raise Rejected(f"{what} must be a number or a percentage, not {short_repr(raw)}.")
    return float(raw)


def _parse_reward(raw: object, what: str, metrics: tuple[MetricSpec, ...]) -> str:
    numbers = [metric.name for metric in metrics if not metric.is_label]
    if not isinstance(raw, str) or raw not in numbers:
        said = ", ".join(numbers) or "declared first, such as `metrics: {click: {window: 1h}}`"
        raise Rejected(f"{what} names the metric to maximise; it must be {said}, not {short_repr(raw)}.")
    return raw


def _parse_floor(raw: object, what: str, arms: int) -> int:
    if raw is None:
        return min(DEFAULT_FLOOR, BUCKETS // (2 * arms))
    slots = _parse_slots(raw, what)
    if not 0 < slots * arms <= BUCKETS:
        raise Rejected(
            f"{what} is {slots / 100:g}% for each of {arms} arms; it must be above 0%, so that each arm is still "
            f"tried, and at most {format_percent(Fraction(1, arms))}."
        )
    return slots


def _parse_slots(raw: object, what: str) -> int:
    share = parse_share(raw, what)
    require_a_slot(share, what)
    return round(share * BUCKETS)


def _parse_burn_in(raw: object, what: str) -> int:
    if raw is None:
        return DEFAULT_BURN_IN
    if type(raw) is not int or not 1 <= raw <= MOST_BURN_IN:
        raise Rejected(f"{what} must be a number of decisions of each arm, at least 1, not {short_repr(raw)}.")
    return raw


def _parse_stop(raw: object, what: str) -> StopRule:
    if not isinstance(raw, dict):
        raise Rejected(f"{what} must say when the bandit is over, such as {{within: 1%, error: 5%}}.")
    check_keys(raw, _STOP_KEYS, what)
    then = raw.get("then", "ask")
    if then not in ("ask", "promote"):
        raise Rejected(f"{what}.then must be ask or promote, not {short_repr(then)}.")
    within = parse_share(raw.get("within"), f"{what}.within")
    error = parse_share(raw.get("error", float(DEFAULT_ERROR)), f"{what}.error")
    if not within or not 0 < error < 1:
        raise Rejected(f"{what}.within and {what}.error must be above 0%, and the error below 100%.")
    return StopRule(within, error, approve=then == "ask")


def _unparse_stop(stop: StopRule) -> dict[str, str]:
    declared = {"within": format_share(stop.within)}
    if stop.error != DEFAULT_ERROR:
        declared["error"] = format_share(stop.error)
    return declared if stop.approve else declared | {"then": "promote"}


def _percent(slots: int) -> str:
    return format_percent(Fraction(slots, BUCKETS))
