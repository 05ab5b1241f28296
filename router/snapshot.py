"""The snapshot: the compiled, immutable view of all routes that a replica serves from.

The hash covers all content that decides a draw, so two replicas with the same hash route alike.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from router.document.document import Document
from router.draw.assignment import BUCKETS
from router.draw.layers import Holdout, Layer
from router.quantities import format_percent
from router.spec.context import ContextColumn
from router.spec.log import LogSpec
from router.spec.metric import MetricSpec
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


def assemble(routes: Iterable[Route]) -> Snapshot:
    """Put routes into one snapshot, in the order of their names."""
    by_name = {route.name: route for route in sorted(routes, key=lambda route: route.name)}
    return Snapshot(routes=by_name, hash=content_hash([route.hash for route in by_name.values()]))


def content_hash(content: object) -> str:
    """Return a hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
