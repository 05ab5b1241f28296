"""The snapshot: the compiled, immutable view of all routes that a replica serves from.

`compile_route` joins a document with the versions that its arms serve. The hash covers all content
that decides a draw, so two replicas with the same hash route alike.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from router.document.document import Document
from router.document.phase import PINNED
from router.document.quarantine import find_quarantined, is_held
from router.document.stored import to_dict
from router.draw.assignment import BUCKETS, seed_state
from router.draw.layers import Holdout, Layer
from router.draw.slots import owners
from router.quantities import format_percent
from router.spec.context import ContextColumn
from router.spec.log import LogSpec
from router.spec.metric import MetricSpec
from router.spec.spec import ArmRef, RouteSpec, ShadowSpec
from router.spec.weighing import Weighing

BANDIT = "bandit"
"""The kind of a route whose weights a policy moves."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm as served: the version to which it is bound now, pinned by digest, and its weight in slots.

    `alias` is the one that the document names, `aliases` are all that the registry has for the version. `refusal` is
    empty unless the version is in quarantine on this route. Then it is the sentence for a caller that names the arm.
    """

    name: str
    model: str
    version: str
    digest: str
    alias: str | None
    slots: int
    aliases: frozenset[str] = frozenset()
    refusal: str = ""

    @property
    def propensity(self) -> float:
        """The probability that a draw gives this arm."""
        return self.slots / BUCKETS


@dataclass(frozen=True, slots=True)
class Shadow:
    """A shadow as served.

    It gets the requests that one of `primaries` has answered, if the unit's bucket is below `sample_slots`.
    """

    name: str
    model: str
    version: str
    digest: str
    primaries: frozenset[int]
    sample_slots: int
    seed_state: int
    deadline_s: float
    placement: str
    tolerance: float


@dataclass(frozen=True, slots=True)
class Admission:
    """Which requests take part in a route's draw. The others get the arm with the index `trusted`."""

    trusted: int
    has_target: bool
    layer: Layer | None
    holdout: Holdout | None


@dataclass(frozen=True, slots=True)
class Contextual:
    """A bandit whose weights depend on the request.

    It maximises the metric `reward`. `columns` are the attributes of a request that count. `models` is the content of
    the learned policy that is in force, or None. `order` has, for each arm of the policy, its index in the route, or
    None if the arm is left out.
    """

    reward: str
    columns: tuple[ContextColumn, ...]
    models: Mapping[str, Any] | None
    order: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One route as served.

    `table[bucket]` is the index of the arm that owns the bucket. `fallbacks[arm]` are the indices of the arms to try in
    turn if that arm fails. `metrics` are what may be reported of its decisions; `declared_us` names the route's life.
    `policy_number` is that of the learned policy whose weights these are, or 0. A bandit does not learn from the slice
    `evaluation`. With `contextual`, the weights of a request depend on it, and `table` has those of an average one.
    Guardrails of a bandit compare its arms with `compared_with`, which is empty if there are none. `weighing` says what
    they compare of its rewards.
    `log` says what the log keeps of its requests.
    """

    name: str
    kind: str
    document_version: int
    declared_us: int
    arms: tuple[Arm, ...]
    table: bytes
    seed_state: int
    unit_header: bytes | None
    unit_parameter: str | None
    fallbacks: tuple[tuple[int, ...], ...]
    admission: Admission | None
    shadows: tuple[Shadow, ...]
    slower_than_us: tuple[int, ...]
    deadline_s: float | None
    batch_wait_s: float
    metrics: tuple[MetricSpec, ...]
    policy_number: int
    evaluation: Holdout | None
    contextual: Contextual | None
    compared_with: str
    weighing: Weighing | None
    log: LogSpec
    hash: str

    def is_of(self, document: Document) -> bool:
        """Return True if the route was compiled from this version of the document, with these weights."""
        return (self.document_version, self.policy_number) == (document.version, document.policy_number)

    def __repr__(self) -> str:
        shares = [f"{arm.name} {format_percent(Fraction(arm.slots, BUCKETS))}" for arm in self.arms]
        shares += [f"shadow {shadow.name}" for shadow in self.shadows]
        return f"{self.name}@{self.document_version}[{' · '.join(shares)}]"


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """All routes, by name, under one content hash."""

    routes: Mapping[str, Route]
    hash: str

    def __repr__(self) -> str:
        return f"<Snapshot {' '.join([self.hash, *map(repr, self.routes.values())])}>"


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
        hash=_content_hash([to_dict(document), sorted((name, pin.version, pin.digest) for name, pin in pins.items())]),
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


def assemble(routes: Iterable[Route]) -> Snapshot:
    """Put routes into one snapshot, in the order of their names."""
    by_name = {route.name: route for route in sorted(routes, key=lambda route: route.name)}
    return Snapshot(routes=by_name, hash=_content_hash([route.hash for route in by_name.values()]))


def _content_hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
