"""The compiled, immutable view of all routes that a replica serves from. Decides.

`compile_route` joins a document with what the registry says its arms are now; the hash names exactly the content
that decides a draw, so two replicas with the same hash route alike.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from router.assignment import BUCKETS, seed_state
from router.document import Document, to_dict
from router.quantities import format_percent
from router.slots import owners


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm as served: the version it is bound to now, pinned by digest, and its weight in slots."""

    name: str
    model: str
    version: str
    digest: str
    alias: str | None
    slots: int

    @property
    def propensity(self) -> float:
        """The probability with which a draw gives this arm."""
        return self.slots / BUCKETS


@dataclass(frozen=True, slots=True)
class Route:
    """One route as served. `table[bucket]` is the index of the arm that owns the bucket."""

    name: str
    document_version: int
    arms: tuple[Arm, ...]
    table: bytes
    seed_state: int
    unit_header: bytes | None
    unit_parameter: str | None
    fallback: int | None
    deadline_s: float | None
    batch_wait_s: float
    hash: str

    def __repr__(self) -> str:
        shares = " · ".join(f"{arm.name} {format_percent(Fraction(arm.slots, BUCKETS))}" for arm in self.arms)
        return f"{self.name}@{self.document_version}[{shares}]"


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """All routes, by name, under one content hash."""

    routes: Mapping[str, Route]
    hash: str

    def __repr__(self) -> str:
        return f"<Snapshot {' '.join([self.hash, *map(repr, self.routes.values())])}>"


@dataclass(frozen=True, slots=True)
class Pin:
    """What a registry says an arm's reference is right now."""

    version: str
    digest: str


def compile_route(document: Document, pins: Mapping[str, Pin]) -> Route:
    """A document and its arms' pins (by arm name) as a servable route.

    Raises:
        KeyError: an arm has no pin; resolve every arm first.
        Corrupt: the document's slot table is broken.
    """
    spec = document.spec
    arms = tuple(
        Arm(
            name=name,
            model=ref.model,
            version=pins[name].version,
            digest=pins[name].digest,
            alias=ref.alias,
            slots=spec.split[name],
        )
        for name, ref in spec.arms.items()
    )
    index = {arm.name: position for position, arm in enumerate(arms)}
    kind, _, source = (spec.unit or "").partition(":" if (spec.unit or "").startswith("header:") else ".")
    return Route(
        name=spec.route,
        document_version=document.version,
        arms=arms,
        table=owners(document.slots, index),
        seed_state=seed_state(spec.seed),
        unit_header=source.encode() if kind == "header" else None,
        unit_parameter=source if kind == "parameters" else None,
        fallback=None if spec.fallback is None else index[spec.fallback],
        deadline_s=spec.deadline_s,
        batch_wait_s=spec.batch_wait_s or 0.0,
        hash=_content_hash([to_dict(document), [(arm.name, arm.version, arm.digest) for arm in arms]]),
    )


def assemble(routes: Iterable[Route]) -> Snapshot:
    """Routes as one snapshot, in the order of their names."""
    by_name = {route.name: route for route in sorted(routes, key=lambda route: route.name)}
    return Snapshot(routes=by_name, hash=_content_hash([route.hash for route in by_name.values()]))


def _content_hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
