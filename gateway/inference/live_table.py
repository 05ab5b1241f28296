"""What a replica serves from: the router's snapshot joined with loaded runtimes. Immutable; swapped by one assignment.

Everything about an arm that does not change from request to request is computed here, once per snapshot: the log's
contexts and the answer's headers.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from gateway.errors import NotReady
from gateway.execution.lane import Lane
from gateway.inference.targeting import Targeting
from inference_log.record import Context, Role
from registry_sync.catalogue import Version
from router.document.document import Candidate
from router.errors import UnknownRoute
from router.snapshot import Arm, Route, Shadow, Snapshot, assemble
from router.spec.spec import ArmRef
from runtimes.datatypes import NUMPY_OF, TYPE_STRING_OF
from runtimes.manifest import Manifest, Signature, TensorSpec

Header = tuple[bytes, bytes]


MAX_LOGGED_VALUES = 4096
"""Inputs with more values per instance are not kept in the log: a column each would serve nobody."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveArm:
    """An arm with the lane of its version. `logged_outputs` are those of which the log keeps the values."""

    arm: Arm
    lane: Lane
    manifest: Manifest
    signature: Signature
    output_names: tuple[str, ...]
    logged_inputs: tuple[str, ...]
    logged_outputs: tuple[int, ...]
    primary: Context
    fallback: Context
    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LiveShadow:
    """A shadow with the lane of its version.

    `contexts` are the log's, by the index of the arm whose answer it is held against; `label` and `prediction` are the
    indices of the outputs that are compared, `logged_outputs` those of which the log keeps the values.
    """

    shadow: Shadow
    lane: Lane
    contexts: tuple[Context, ...]
    label: int | None
    prediction: int | None
    tolerance: float
    logged_outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LiveRoute:
    """A route whose every version is loaded. All arms and shadows have the same signature."""

    route: Route
    arms: tuple[LiveArm, ...]
    signature: Signature
    rejected: Context
    shadows: tuple[LiveShadow, ...] = ()
    target: Targeting | None = None


class Served(NamedTuple):
    """What a route is served with: READY versions and their lanes, by the name of the arm or shadow.

    `refs` says which references they were found by.
    """

    arms: Mapping[str, tuple[Version, Lane]]
    shadows: Mapping[str, tuple[Version, Lane]]
    target: Targeting | None
    refs: Mapping[str, ArmRef] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class LiveTable:
    """Everything served now. `problems` says, by route, why a declared route is missing or behind; `warnings`, what a
    route that is served has to do without.
    """

    snapshot: Snapshot
    routes: Mapping[str, LiveRoute]
    revision: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)


EMPTY = LiveTable(snapshot=assemble([]), routes={})


class LiveTableHolder:
    """The one attribute that a request reads."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current = EMPTY

    def candidates(self, name: str) -> Mapping[str, Candidate] | None:
        """The version that serves each arm of a route now; None if the route is not served here."""
        live = self.current.routes.get(name)
        return None if live is None else {arm.name: Candidate(arm.version, arm.digest) for arm in live.route.arms}


def find_route(live: LiveTable, name: str) -> LiveRoute:
    """A route that is being served.

    Raises:
        NotReady: it is declared, but cannot be served.
        UnknownRoute: it is not declared.
    """
    route = live.routes.get(name)
    if route is not None:
        return route
    if name in live.problems:
        raise NotReady(f"Route {name} is declared but cannot be served: {live.problems[name]}")
    raise UnknownRoute(f"There is no route {name!r}; there are {', '.join(sorted(live.routes)) or 'none yet'}.")


def join(
    routes: Mapping[str, tuple[Route, Served]],
    revision: int,
    problems: Mapping[str, str],
    warnings: Mapping[str, str],
) -> LiveTable:
    """Compiled routes with what they are served with as one live table."""
    snapshot = assemble(route for route, _ in routes.values())
    live = {name: _live_route(snapshot.routes[name], served, snapshot.hash) for name, (_, served) in routes.items()}
    return LiveTable(snapshot=snapshot, routes=live, revision=revision, problems=problems, warnings=warnings)


def _live_route(route: Route, served: Served, snapshot_hash: str) -> LiveRoute:
    arms = tuple(_live_arm(route, arm, *served.arms[arm.name], snapshot_hash) for arm in route.arms)
    shadows = tuple(
        _live_shadow(route, shadow, *served.shadows[shadow.name], snapshot_hash)
        for shadow in route.shadows
        if shadow.name in served.shadows
    )
    rejected = _context(route, None, None, "primary", snapshot_hash)
    return LiveRoute(route, arms, arms[0].signature, rejected, shadows, served.target)


def _live_shadow(route: Route, shadow: Shadow, version: Version, lane: Lane, snapshot_hash: str) -> LiveShadow:
    contexts = tuple(
        _context(route, shadow, version.manifest, "shadow", snapshot_hash, against=arm) for arm in route.arms
    )
    label, prediction = contexts[0].label, contexts[0].prediction
    return LiveShadow(
        shadow=shadow,
        lane=lane,
        contexts=contexts,
        label=None if label is None else label[0],
        prediction=None if prediction is None else prediction[0],
        tolerance=shadow.tolerance,
        logged_outputs=_logged_outputs(contexts[0]),
    )


def _live_arm(route: Route, arm: Arm, version: Version, lane: Lane, snapshot_hash: str) -> LiveArm:
    manifest = version.manifest
    primary = _context(route, arm, manifest, "primary", snapshot_hash)
    return LiveArm(
        arm=arm,
        lane=lane,
        manifest=manifest,
        signature=manifest.signature,
        output_names=tuple(spec.name for spec in manifest.outputs),
        logged_inputs=tuple(spec.name for spec in _logged(manifest.inputs)),
        logged_outputs=_logged_outputs(primary),
        primary=primary,
        fallback=_context(route, arm, manifest, "fallback", snapshot_hash),
        headers=((b"x-arm", arm.name.encode()), (b"x-model-version", arm.version.encode())),
    )


def _logged_outputs(context: Context) -> tuple[int, ...]:
    return tuple(sorted({kept[0] for kept in (context.label, context.prediction) if kept is not None}))


def _context(
    route: Route,
    arm: Arm | Shadow | None,
    manifest: Manifest | None,
    role: Role,
    snapshot_hash: str,
    against: Arm | None = None,
) -> Context:
    """What the log says of every request that this arm answers; without an arm, of those that were rejected."""
    inputs = _logged(manifest.inputs) if manifest else ()
    outputs = manifest.outputs if manifest else ()
    return Context(
        number=0,
        route=route.name,
        arm=arm.name if arm else "",
        role=role,
        policy_kind=route.kind,
        policy_version=route.document_version,
        snapshot_hash=snapshot_hash,
        weights={each.name: each.propensity for each in route.arms},
        model_name=arm.model if arm else "",
        model_version=arm.version if arm else "",
        model_digest=arm.digest if arm else "",
        features=tuple(name for spec in inputs for name in _feature_names(spec)),
        inputs=tuple(TYPE_STRING_OF[spec.datatype] for spec in inputs),
        label=_first(outputs, "iubO", lambda spec: spec.shape == (-1,)),
        prediction=_first(outputs, "fV", lambda spec: spec.shape[:1] == (-1,)),
        slower_than_us=route.slower_than_us,
        against=against.name if against else "",
        against_version=against.version if against else "",
        has_fallback=isinstance(arm, Arm) and bool(route.fallbacks[route.arms.index(arm)]),
    )


def _feature_names(spec: TensorSpec) -> tuple[str, ...]:
    """The names of one instance's values: the declared columns, or the tensor's name and a position."""
    if spec.columns:
        return spec.columns
    width = 1
    for size in spec.shape[1:] if spec.shape[:1] == (-1,) else spec.shape:
        width *= max(size, 1)
    return (spec.name,) if width == 1 else tuple(f"{spec.name}_{position}" for position in range(width))


def _logged(inputs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The inputs whose values the log keeps: numbers, as many for every instance, and not too many."""
    batched = any(spec.shape[:1] == (-1,) for spec in inputs)
    first = 1 if batched else 0
    return tuple(
        spec
        for spec in inputs
        if (spec.shape[:1] == (-1,)) == batched
        and -1 not in spec.shape[first:]
        and spec.datatype != "BYTES"
        and math.prod(spec.shape[first:]) <= MAX_LOGGED_VALUES
    )


def _first(outputs: tuple[TensorSpec, ...], kinds: str, fits: Callable[[TensorSpec], bool]) -> tuple[int, str] | None:
    """The first output whose NumPy kind is one of `kinds` and whose shape fits: one value, or row, per instance."""
    for index, spec in enumerate(outputs):
        if NUMPY_OF[spec.datatype].kind in kinds and fits(spec):
            return index, TYPE_STRING_OF[spec.datatype]
    return None
