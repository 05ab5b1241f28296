"""Compiles a document and the versions that its arms serve into a route that can be served."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from router.document.document import Document
from router.document.phase import PINNED
from router.document.quarantine import find_quarantined, is_held
from router.document.stored import to_dict
from router.draw.assignment import seed_state
from router.draw.layers import Holdout
from router.draw.slots import owners
from router.snapshot import BANDIT, Admission, Arm, Contextual, Route, Shadow, content_hash
from router.spec.spec import ArmRef, RouteSpec, ShadowSpec


@dataclass(frozen=True, slots=True)
class Pin:
    """The version to which a name leads, and the aliases that the registry has for this version."""

    version: str
    digest: str
    aliases: frozenset[str] = frozenset()


def references(document: Document) -> dict[str, ArmRef]:
    """Return the references to resolve before a document can be served, by name.

    These are every arm, and every shadow that is not an arm. Where the document says to which version an alias is
    bound, that is the reference, whatever version the alias names by now.
    """
    refs, bound = declared_references(document), document.bound
    fixed = {name: bound[name].version for name, ref in refs.items() if ref.alias is not None and name in bound}
    return refs | {name: ArmRef(refs[name].model, version=version) for name, version in fixed.items()}


def declared_references(document: Document) -> dict[str, ArmRef]:
    """Return the references as they are declared. The candidate's is the version with which the rollout began."""
    spec, state = document.spec, document.rollout
    refs = dict(spec.arms)
    if spec.rollout is not None and state is not None and state.candidate is not None and state.phase in PINNED:
        of = spec.rollout.of
        refs[of] = replace(spec.arms[of], alias=None, version=state.candidate.version)
    return refs | {shadow.name: shadow.ref for shadow in document.active_shadows if shadow.ref is not None}


def compile_route(document: Document, pins: Mapping[str, Pin]) -> Route:
    """Compile a document and the pins of its `references` into a route that can be served.

    Leave out shadows without a pin or in quarantine, and arms that have neither a pin nor any weight.

    Raises:
        KeyError: if an arm that is needed has no pin.
        Corrupt: if the document's slot table is broken.
    """
    spec, weights = document.spec, document.weights
    arms = tuple(
        Arm(
            name=name,
            model=ref.model,
            version=pins[name].version,
            digest=pins[name].digest,
            alias=ref.alias,
            slots=weights[name],
            aliases=pins[name].aliases,
            refusal=_refusal(document, ref.model, pins[name].digest),
        )
        for name, ref in spec.arms.items()
        if name in pins or weights[name]
    )
    index = {arm.name: position for position, arm in enumerate(arms)}
    usable = {arm.name for arm in arms if not arm.refusal}
    kind, _, source = (spec.unit or "").partition(":" if (spec.unit or "").startswith("header:") else ".")
    return Route(
        name=spec.route,
        kind="rollout" if spec.rollout is not None else BANDIT if spec.learns else "split",
        document_version=document.version,
        declared_us=document.declared_us,
        arms=arms,
        table=owners(document.slots, index),
        seed_state=seed_state(spec.seed),
        unit_header=source.encode() if kind == "header" else None,
        unit_parameter=source if kind == "parameters" else None,
        fallbacks=tuple(_chain(spec, name, index, usable) for name in index),
        admission=_admission(spec, index),
        shadows=tuple(
            _shadow(spec, each, pins, index)
            for each in document.active_shadows
            if each.name in pins and not is_held(document, each, pins[each.name].digest)
        ),
        slower_than_us=tuple(each.slower_than_us for each in spec.guardrails if each.slower_than_us),
        deadline_s=spec.deadline_s,
        batch_wait_s=spec.batch_wait_s or 0.0,
        metrics=spec.metrics,
        policy_number=document.policy_number,
        evaluation=_evaluation(spec),
        contextual=_contextual(document, index),
        compared_with=(spec.trusted_arm or "") if spec.learns and spec.guardrails else "",
        weighing=spec.weighing,
        log=spec.log,
        hash=content_hash([to_dict(document), sorted((name, pin.version, pin.digest) for name, pin in pins.items())]),
    )


def _evaluation(spec: RouteSpec) -> Holdout | None:
    if spec.bandit is None or not spec.bandit.evaluation:
        return None
    return Holdout(spec.bandit.evaluation, f"evaluation:{spec.seed}")


def _contextual(document: Document, index: Mapping[str, int]) -> Contextual | None:
    bandit = document.spec.bandit
    if bandit is None or not bandit.context:
        return None
    return Contextual(
        bandit.reward, bandit.context, document.models, tuple(index.get(arm) for arm in document.spec.arms)
    )


def _refusal(document: Document, model: str, digest: str) -> str:
    held = find_quarantined(document, model, digest)
    return "" if held is None else f"Version {held.version} is in quarantine: {held.way_back(document.spec.route)}"


def _chain(spec: RouteSpec, arm: str, index: Mapping[str, int], usable: Container[str]) -> tuple[int, ...]:
    """Return the fallbacks of an arm in turn, without the arms that are in quarantine or left out.

    The parser has rejected circles.
    """
    fallbacks, chain = spec.fallbacks or {}, []
    while arm in fallbacks:
        arm = fallbacks[arm]
        if arm in usable:
            chain.append(index[arm])
    return tuple(chain)


def _admission(spec: RouteSpec, index: Mapping[str, int]) -> Admission | None:
    if spec.trusted_arm is None or not spec.is_exclusive:
        return None
    return Admission(index[spec.trusted_arm], spec.target is not None, spec.layer, spec.holdout)


def _shadow(spec: RouteSpec, shadow: ShadowSpec, pins: Mapping[str, Pin], index: Mapping[str, int]) -> Shadow:
    ref, pin = shadow.ref if shadow.arm is None else spec.arms[shadow.arm], pins[shadow.name]
    primaries = shadow.against or [arm for arm in index if arm != shadow.arm]
    return Shadow(
        name=shadow.name,
        model="" if ref is None else ref.model,
        version=pin.version,
        digest=pin.digest,
        primaries=frozenset(index[arm] for arm in primaries if arm in index),
        sample_slots=shadow.sample_slots,
        seed_state=seed_state(f"{spec.seed}:shadow:{shadow.name}"),
        deadline_s=shadow.deadline_s,
        placement=shadow.placement,
        tolerance=shadow.tolerance,
    )
