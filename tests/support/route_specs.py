"""Strategies for every legal declaration, as `parse_spec` returns it."""

import string
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from router.draw.assignment import BUCKETS, PLACES
from router.draw.layers import Holdout, Layer
from router.draw.slots import quantise
from router.spec.log import DEFAULT_LOG, Durability, LogSpec, RedactAction, Redaction
from router.spec.parse import PLACEMENTS
from router.spec.spec import (
    DEFAULT_ALPHA,
    ArmRef,
    Guardrail,
    GuardrailKind,
    Limits,
    RolloutSpec,
    RouteSpec,
    ShadowSpec,
    Starts,
    Step,
)
from router.spec.value import value_ref
from tests.support.metric_specs import metric_specs

YEAR_US = 365 * 86_400 * 1_000_000
TARGETS = (
    {"headers.x-country": "nl"},
    {"parameters.tier": {"$in": ["gold", 7, True, None]}},
    {"$and": [{"inputs.X.3": {"$gte": 0.5}}, {"$not": {"unit": {"$regex": "^u"}}}]},
)

letters = string.ascii_letters + string.digits
names = st.builds(str.__add__, st.sampled_from(letters), st.text(letters + "._-", max_size=6))
seeds = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=6)
refs = st.builds(ArmRef, model=names, alias=names) | st.builds(ArmRef, model=names, version=names)
units = st.one_of(
    st.text(string.ascii_lowercase + "-", min_size=1, max_size=6).map("header:{}".format),
    st.text(letters + "_.-", min_size=1, max_size=6).map("parameters.{}".format),
)
slots = st.integers(1, BUCKETS)
tolerances = st.just(0.0) | st.floats(0, 1e9)


def durations(longest_us: int = YEAR_US) -> st.SearchStrategy[float]:
    return st.integers(1, longest_us).map(lambda micros: micros / 1_000_000)


@st.composite
def decimals(draw: st.DrawFn, least: Fraction, most: Fraction) -> Fraction:
    """Draw a share with at most 30 decimals."""
    unit = 10 ** draw(st.sampled_from([3, 4, 18, 30]))
    return Fraction(draw(st.integers(-(-least * unit // 1), most * unit // 1)), unit)


@st.composite
def parted(draw: st.DrawFn, arms: list[str]) -> dict[str, Fraction]:
    """Draw shares that sum to 1."""
    cuts = sorted(draw(st.lists(decimals(Fraction(0), Fraction(1)), min_size=len(arms) - 1, max_size=len(arms) - 1)))
    ends = [*cuts, Fraction(1)]
    return {arm: end - start for arm, start, end in zip(arms, [Fraction(0), *cuts], ends, strict=True)}


@st.composite
def rollouts(draw: st.DrawFn, arms: list[str]) -> RolloutSpec:
    of = draw(st.sampled_from(arms))
    others = [arm for arm in arms if arm != of]
    chosen = draw(st.sets(st.sampled_from(others), min_size=1))
    weights = sorted(draw(st.sets(slots, min_size=1, max_size=5)))
    common = draw(st.none() | durations())
    steps = [
        Step(
            slots=weight,
            every_s=draw(st.just(common or 0.0) | st.just(0.0) | durations()),
            samples=draw(st.sampled_from([1, 1, 500]) | st.integers(1, 10**12)),
            approve=draw(st.booleans()) and weight < BUCKETS,
        )
        for weight in weights
    ]
    # What is above 0 and less than a slot is refused.
    base = parted([arm for arm in others if arm in chosen]).filter(
        lambda shares: not any(0 < share * BUCKETS < 1 for share in shares.values())
    )
    return RolloutSpec(of=of, base=draw(base), steps=tuple(steps), starts=draw(st.sampled_from(Starts)))


@st.composite
def fallbacks(draw: st.DrawFn, arms: list[str]) -> dict[str, str] | None:
    """Draw for some arms an arm that comes later in some order, so that there is no circle."""
    order = draw(st.permutations(arms))
    chosen = [arm for arm in order[:-1] if draw(st.booleans())]
    return {arm: draw(st.sampled_from(order[order.index(arm) + 1 :])) for arm in chosen} or None


@st.composite
def guardrails(draw: st.DrawFn, numbers: list[str]) -> tuple[Guardrail, ...]:
    kinds = draw(st.lists(st.sampled_from(GuardrailKind), max_size=4))
    margin = decimals(Fraction(1, 1000), Fraction(999, 1000))
    made = {}
    for kind in kinds:
        if kind is GuardrailKind.REWARD and not numbers:
            continue
        metric = draw(st.sampled_from(numbers)) if kind is GuardrailKind.REWARD else ""
        is_slow, is_flip = kind is GuardrailKind.SLOWER_THAN, kind is GuardrailKind.DISAGREEMENT
        threshold_us = draw(st.integers(1, YEAR_US)) if is_slow else 0
        made[kind, threshold_us, metric] = Guardrail(
            kind=kind,
            margin=draw(margin),
            slower_than_us=threshold_us,
            sample_slots=draw(slots) if is_flip else 0,
            tolerance=draw(tolerances) if is_flip else 0.0,
            metric=metric,
        )
    return tuple(made.values())


@st.composite
def shadows(draw: st.DrawFn, arms: list[str]) -> tuple[ShadowSpec, ...]:
    made = {}
    for _ in range(draw(st.integers(0, 3))):
        arm = draw(st.none() | st.sampled_from(arms))
        others = [other for other in arms if other != arm]
        shadow = ShadowSpec(
            sample_slots=draw(slots),
            arm=arm,
            ref=draw(refs) if arm is None else None,
            against=tuple(draw(st.lists(st.sampled_from(others), unique=True))) if others else (),
            deadline_s=draw(st.just(1.0) | durations(60_000_000)),
            placement=draw(st.sampled_from(PLACEMENTS)),
            tolerance=draw(tolerances),
        )
        made[shadow.name] = shadow
    return tuple(made.values())


@st.composite
def limits(draw: st.DrawFn, least: dict[str, int], may_have_floor: bool, trusted: str | None) -> dict[str, Limits]:
    """Draw limits that allow each arm its first weight."""
    made = {}
    for arm, own in least.items():
        if draw(st.booleans()):
            floor = draw(st.integers(0, own)) if may_have_floor else 0
            made[arm] = Limits(floor, BUCKETS if arm == trusted else draw(st.integers(own, BUCKETS)))
    return made


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
whole, fractions = st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | whole | fractions | texts
nested = st.recursive(
    st.lists(scalars, max_size=2) | st.dictionaries(texts, scalars, max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def with_values(draw: st.DrawFn, spec: RouteSpec) -> RouteSpec:
    """Give some arms, or all, a value in place of a model, and leave out what only models can do."""
    chosen = draw(st.sets(st.sampled_from(list(spec.arms)), min_size=1))
    kinds = draw(st.dictionaries(seeds, st.sampled_from([whole, fractions, texts, st.booleans(), nested]), min_size=1))
    made = {arm: value_ref({key: draw(kind) for key, kind in kinds.items()}) for arm in sorted(chosen)}
    spec = replace(
        spec,
        arms={arm: made.get(arm, ref) for arm, ref in spec.arms.items()},
        shadows=tuple(each for each in spec.shadows if each.arm not in chosen),
        guardrails=tuple(each for each in spec.guardrails if each.kind is not GuardrailKind.DISAGREEMENT),
    )
    if spec.rollout is not None and spec.rollout.of in chosen:
        spec = replace(spec, rollout=replace(spec.rollout, starts=Starts.BY_HAND))
    if len(chosen) < len(spec.arms):
        return spec
    return replace(spec, placement=None, batch_wait_s=None, shadows=(), require_tags=None)


@st.composite
def specs(draw: st.DrawFn) -> RouteSpec:
    spec = draw(model_specs())
    return draw(with_values(spec)) if draw(st.integers(0, 3)) == 0 else spec


redactions = st.one_of(
    st.sampled_from([RedactAction.DROP, RedactAction.HMAC, RedactAction.MASK]).map(Redaction),
    st.integers(1, 64).map(lambda kept: Redaction(RedactAction.TRUNCATE, float(kept))),
    st.decimals(Decimal("1e-6"), 999_999_999, places=6).map(lambda width: Redaction(RedactAction.BUCKET, float(width))),
)
redacted_names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)


@st.composite
def logs(draw: st.DrawFn) -> LogSpec:
    redact = draw(st.dictionaries(redacted_names, redactions, max_size=3))
    return LogSpec(
        draw(st.sampled_from([Durability.BEST_EFFORT, Durability.DURABLE])),
        draw(slots),
        not redact and draw(st.booleans()),
        redact,
    )


@st.composite
def model_specs(draw: st.DrawFn) -> RouteSpec:
    arms = draw(st.dictionaries(names, refs, min_size=1, max_size=4))
    route = draw(names)
    of_arms = list(arms)
    rollout = draw(rollouts(of_arms)) if len(arms) > 1 and draw(st.booleans()) else None
    if rollout is not None and arms[rollout.of].alias is None:
        rollout = replace(rollout, starts=Starts.BY_HAND)
    split = None if rollout is not None else quantise(draw(parted(of_arms)))
    trusted = next(iter(rollout.base)) if rollout is not None and len(rollout.base) == 1 else None
    named = draw(fallbacks(of_arms))
    if draw(st.booleans()):
        trusted = draw(st.sampled_from([arm for arm in of_arms if rollout is None or arm != rollout.of]))
        named = {arm: trusted for arm in of_arms if arm != trusted}
    least = split or {arm: round(share * BUCKETS) for arm, share in rollout.base.items()} | {
        rollout.of: rollout.steps[0].slots
    }
    has_others = trusted is not None and len(arms) > 1
    start = draw(st.integers(0, PLACES - 1))
    reported = draw(st.just(()) | metric_specs())
    numbers = [each.name for each in reported if not each.is_label]
    layer = Layer(draw(names), start / PLACES, draw(st.integers(start + 1, PLACES)) / PLACES)
    return RouteSpec(
        route=route,
        arms=arms,
        seed=draw(st.just(route) | seeds),
        split=split,
        rollout=rollout,
        unit=draw(st.none() | units),
        fallbacks=named,
        trusted_arm=trusted,
        deadline_s=draw(st.none() | durations()),
        batch_wait_s=draw(st.none() | durations(1_000_000)),
        placement=draw(st.none() | st.sampled_from(PLACEMENTS)),
        guardrails=draw(guardrails(numbers)) if has_others else (),
        alpha=draw(st.just(DEFAULT_ALPHA) | decimals(Fraction(1, 10_000), Fraction(1, 5))),
        shadows=draw(shadows(of_arms)),
        limits=draw(st.none() | limits(least, rollout is None, trusted)) or None,
        target=draw(st.none() | st.sampled_from(TARGETS)) if trusted else None,
        layer=draw(st.none() | st.just(layer)) if trusted else None,
        holdout=draw(st.none() | st.builds(Holdout, st.integers(0, BUCKETS), seeds)) if trusted else None,
        require_tags=draw(st.none() | st.dictionaries(seeds, seeds, min_size=1, max_size=3)),
        metrics=reported,
        log=draw(st.just(DEFAULT_LOG) | logs()),
    )
