"""Parsing the rollout of a declared route."""

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise

from router.draw.assignment import BUCKETS
from router.draw.slots import require_a_slot
from router.errors import Rejected
from router.quantities import format_percent, parse_duration_s, parse_share
from router.refusals import check_keys, short_repr
from router.spec.spec import ArmRef, RolloutSpec, Starts, Step

MAX_STEPS = 100
MAX_SAMPLES = 10**12

_KEYS = ("of", "from", "steps", "every", "samples", "starts")
_STEP_KEYS = ("weight", "every", "samples", "approve")


def parse_rollout(raw: object, arms: Mapping[str, ArmRef]) -> RolloutSpec:
    """Read a rollout.

    Raises:
        Rejected: if it is not a legal rollout.
    """
    if not isinstance(raw, dict):
        raise Rejected("rollout must say of what, in which steps and how fast: {of: canary, steps: [5%], every: 10m}.")
    check_keys(raw, _KEYS, "rollout")
    of = raw.get("of")
    if not isinstance(of, str) or of not in arms:
        raise Rejected(f"rollout.of names {short_repr(of)}, which is not among the arms ({', '.join(arms)}).")
    return RolloutSpec(
        of=of,
        base=_parse_base(raw.get("from"), of, arms),
        steps=_parse_steps(raw),
        starts=_parse_starts(raw.get("starts"), of, arms[of]),
    )


def _parse_starts(raw: object, of: str, ref: ArmRef) -> Starts:
    if raw is None:
        return Starts.BY_HAND
    if not isinstance(raw, str) or raw not in set(Starts):
        raise Rejected(f"rollout.starts must be {' or '.join(Starts)}, not {short_repr(raw)}.")
    if raw == Starts.BY_ALIAS and ref.alias is None:
        raise Rejected(f"rollout.starts is {raw}, so arm {of} must be bound to model@alias, not to {ref}.")
    return Starts(raw)


def _parse_base(raw: object, of: str, arms: Mapping[str, ArmRef]) -> dict[str, Fraction]:
    others = [arm for arm in arms if arm != of]
    if raw is None:
        if len(others) != 1:
            raise Rejected(
                f"rollout.from must say which arms have the traffic that {of} does not have: an arm, or shares such as "
                "`{a: 60%, b: 40%}`."
            )
        raw = others[0]
    named = {raw: 1} if isinstance(raw, str) else raw
    if not isinstance(named, dict) or not named:
        raise Rejected(f"rollout.from must be an arm, or shares of arms, not {short_repr(raw)}.")
    for arm in named:
        if arm not in others:
            raise Rejected(
                f"rollout.from names {short_repr(arm)}, which is not among the other arms ({', '.join(others)})."
            )
    shares = {arm: parse_share(share, f"rollout.from.{arm}") for arm, share in named.items()}
    total = sum(shares.values(), Fraction(0))
    if total != 1:
        raise Rejected(f"The shares of rollout.from sum to {format_percent(total)}, not 100%.")
    return {arm: shares[arm] for arm in arms if arm in shares}


def _parse_steps(raw: Mapping[str, object]) -> tuple[Step, ...]:
    steps = raw.get("steps")
    if not isinstance(steps, list) or not steps or len(steps) > MAX_STEPS:
        raise Rejected(f"rollout.steps must list 1 to {MAX_STEPS} weights, such as [1%, 5%, 25%, 50%, 100%].")
    parsed = tuple(_parse_step(step, f"rollout.steps[{index}]", raw) for index, step in enumerate(steps))
    for before, after in pairwise(parsed):
        if after.slots <= before.slots:
            raise Rejected(f"rollout.steps must grow, but {after.slots / 100:g}% follows {before.slots / 100:g}%.")
    if len(parsed) > 1 and parsed[-1].slots == BUCKETS and parsed[-1].approve:
        raise Rejected("rollout.steps asks for approval after 100%, where the rollout is over; ask at the step before.")
    return parsed


def _parse_step(raw: object, what: str, common: Mapping[str, object]) -> Step:
    own = raw if isinstance(raw, dict) else {"weight": raw}
    check_keys(own, _STEP_KEYS, what)
    weight = parse_share(own.get("weight"), f"{what}.weight")
    require_a_slot(weight, f"{what}.weight")
    slots = round(weight * BUCKETS)
    if slots < 1:
        raise Rejected(f"{what} gives the arm nothing; the least is 0.01%.")
    approve = own.get("approve", False)
    if not isinstance(approve, bool):
        raise Rejected(f"{what}.approve must be true or false, not {short_repr(approve)}.")
    every, samples = own.get("every", common.get("every")), own.get("samples", common.get("samples"))
    if every is None and samples is None and not approve and slots < BUCKETS:
        raise Rejected(f"{what} would be over at once: say every (such as 10m), samples (such as 1000) or approve.")
    return Step(
        slots=slots,
        every_s=0.0 if every is None else parse_duration_s(every, f"{what}.every"),
        samples=1 if samples is None else _parse_samples(samples, f"{what}.samples"),
        approve=approve,
    )


def _parse_samples(raw: object, what: str) -> int:
    if type(raw) is not int or not 1 <= raw <= MAX_SAMPLES:
        raise Rejected(f"{what} must be a whole number of requests, at least 1, not {short_repr(raw)}.")
    return raw
