"""The live table: what a replica serves from. It joins the router's snapshot with the lanes of loaded versions.

A live table is immutable and is swapped by one assignment. Everything about an arm that does not change from request to
request is computed here, once per snapshot: the log's contexts and the headers of its responses.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from gateway.errors import NotReady
from gateway.execution.lane import Lane
from gateway.inference.contexts import RequestWeights, SealedSlots, request_weights, sealed_slots
from gateway.inference.log_context import log_context, logged_answer, logged_outputs
from gateway.inference.redaction import Rules, logged_inputs_of
from gateway.inference.targeting import Targeting
from gateway.protocols.request import Header
from inference_log.record import Context
from registry_sync.version import Version
from router.document.document import Candidate
from router.errors import UnknownRoute
from router.refusals import short_repr
from router.snapshot import Arm, Route, Shadow, Snapshot, assemble
from router.spec.log import Durability
from router.spec.spec import ArmRef
from runtimes.datatypes import Tensor
from runtimes.logged_tensors import logged_inputs
from runtimes.manifest import Manifest, Signature


@dataclass(frozen=True, slots=True, eq=False)
class LiveArm:
    """An arm with the lane of its version.

    The log keeps the values of `logged_inputs` (names) and `logged_outputs` (indices). `primary` and `fallback` are the
    log's contexts for requests that drew this arm, and for requests that it answers instead of another one.
    `answers_by_name`: see `gateway.protocols.scoring_answers`. `logged_answer` is what the log keeps in place of the
    outputs, if it is always the same. `rules` say what is done to values before they are logged.
    """

    arm: Arm
    lane: Lane
    manifest: Manifest
    signature: Signature
    logged_inputs: tuple[str, ...]
    logged_outputs: tuple[int, ...]
    primary: Context
    fallback: Context
    headers: tuple[Header, ...]
    answers_by_name: bool = False
    logged_answer: tuple[Tensor, ...] = ()
    rules: Rules | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LiveShadow:
    """A shadow with the lane of its version.

    `contexts` are the log's, by the index of the arm whose answer the shadow's is compared with. `label` and
    `prediction` are the indices of the outputs that are compared. The log keeps the values of `logged_outputs`.
    """

    shadow: Shadow
    lane: Lane
    contexts: tuple[Context, ...]
    label: int | None
    prediction: int | None
    tolerance: float
    logged_outputs: tuple[int, ...]
    rules: Rules | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LiveRoute:
    """A route of which every version is loaded. All arms and shadows have the same signature.

    `weights` is there if its bandit looks at the request, and `sealed_slots` if guardrails compare its rewards.
    `is_strict`: see `gateway.inference.strict`.
    """

    route: Route
    arms: tuple[LiveArm, ...]
    signature: Signature
    rejected: Context
    shadows: tuple[LiveShadow, ...] = ()
    targeting: Targeting | None = None
    weights: RequestWeights | None = None
    is_strict: bool = False
    sealed_slots: SealedSlots | None = None


class Served(NamedTuple):
    """What a route is served with: READY versions and their lanes, by the name of the arm or shadow.

    `refs` are the references that led to these versions, and `declared` are those of the declaration.
    """

    arms: Mapping[str, tuple[Version, Lane]]
    shadows: Mapping[str, tuple[Version, Lane]]
    targeting: Targeting | None
    refs: Mapping[str, ArmRef] = MappingProxyType({})
    declared: Mapping[str, ArmRef] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class LiveTable:
    """Everything that is served now.

    `problems` says, by route, why a declared route is missing or still has an older form. `warnings` says what a route
    that is served lacks. `versions` says for each version that its requests are batched, or why not.
    """

    snapshot: Snapshot
    routes: Mapping[str, LiveRoute]
    revision: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


BATCHED = "batched"
"""What is said of a version whose requests are merged."""

_LENGTHS_APART = 3
_MOST_COMPARED = 100
_MOST_NAMED = 3

EMPTY = LiveTable(snapshot=assemble([]), routes={})


class LiveTableHolder:
    """Holds the one attribute that a request reads: the current live table."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current = EMPTY

    def candidates(self, name: str) -> Mapping[str, Candidate] | None:
        """Return the version that serves each arm of a route now, or None if the route is not served here."""
        live = self.current.routes.get(name)
        return None if live is None else {arm.name: Candidate(arm.version, arm.digest) for arm in live.route.arms}


def find_route(live: LiveTable, name: str) -> LiveRoute:
    """Return a route that is being served.

    Raises:
        NotReady: the route is declared, but cannot be served.
        UnknownRoute: the route is not declared.
    """
    route = live.routes.get(name)
    if route is not None:
        return route
    if name in live.problems:
        raise NotReady(f"Route {name} is declared but cannot be served: {live.problems[name]}")
    raise UnknownRoute(f"Request for unknown model: {short_repr(name)} is not found; {_advice(name, live.routes)}")


def only_route(live: LiveTable) -> str | None:
    """Return the name of the one declared route; None if there are more, or none."""
    names = live.routes.keys() | live.problems.keys()
    return next(iter(names)) if len(names) == 1 else None


def _advice(name: str, routes: Collection[str]) -> str:
    """Return which routes have a similar name. Comparing takes about 20 µs a name, so only some are compared."""
    alike = [each for each in routes if abs(len(each) - len(name)) <= _LENGTHS_APART]
    likeliest = sorted(alike, key=lambda each: (each[:1] != name[:1], each))[:_MOST_COMPARED]
    close = difflib.get_close_matches(name, likeliest, _MOST_NAMED)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "GET /v2/models lists the routes." if routes else "there are none yet."


def join(
    routes: Mapping[str, tuple[Route, Served]],
    revision: int,
    problems: Mapping[str, str],
    warnings: Mapping[str, str],
) -> LiveTable:
    """Join compiled routes and the versions that serve them into one live table."""
    snapshot = assemble(route for route, _ in routes.values())
    live = {name: _live_route(snapshot.routes[name], served, snapshot.hash) for name, (_, served) in routes.items()}
    return LiveTable(
        snapshot=snapshot,
        routes=live,
        revision=revision,
        problems=problems,
        warnings=warnings,
        versions=_versions(live.values()),
    )


def _versions(routes: Iterable[LiveRoute]) -> dict[str, str]:
    lanes: list[Lane] = []
    for route in routes:
        lanes += [arm.lane for arm in route.arms]
        lanes += [shadow.lane for shadow in route.shadows]
    return {str(lane.key.version): lane.unbatched_because or BATCHED for lane in lanes}


def _live_route(route: Route, served: Served, snapshot_hash: str) -> LiveRoute:
    kinds = [served.arms[arm.name][0].manifest.runtime for arm in route.arms]
    by_name = next((kind for kind in kinds if kind != "constant"), "") == "onnx"
    arms = tuple(_live_arm(route, arm, *served.arms[arm.name], snapshot_hash, by_name=by_name) for arm in route.arms)
    shadows = tuple(
        _live_shadow(route, shadow, *served.shadows[shadow.name], snapshot_hash)
        for shadow in route.shadows
        if shadow.name in served.shadows
    )
    rejected = log_context(route, None, None, "primary", snapshot_hash)
    signature, is_strict = arms[0].signature, route.log.durability is Durability.STRICT
    weights, sealed = request_weights(route, signature), sealed_slots(route)
    return LiveRoute(route, arms, signature, rejected, shadows, served.targeting, weights, is_strict, sealed)


def _live_shadow(route: Route, shadow: Shadow, version: Version, lane: Lane, snapshot_hash: str) -> LiveShadow:
    contexts = tuple(
        log_context(route, shadow, version.manifest, "shadow", snapshot_hash, against=arm) for arm in route.arms
    )
    label, prediction = contexts[0].label, contexts[0].prediction
    return LiveShadow(
        shadow=shadow,
        lane=lane,
        contexts=contexts,
        label=None if label is None else label[0],
        prediction=None if prediction is None else prediction[0],
        tolerance=shadow.tolerance,
        logged_outputs=logged_outputs(contexts[0]),
        rules=logged_inputs_of(version.manifest.signature, route.log.redact).rules,
    )


def _live_arm(route: Route, arm: Arm, version: Version, lane: Lane, snapshot_hash: str, *, by_name: bool) -> LiveArm:
    manifest = version.manifest
    primary = log_context(route, arm, manifest, "primary", snapshot_hash)
    return LiveArm(
        arm=arm,
        lane=lane,
        manifest=manifest,
        signature=manifest.signature,
        logged_inputs=tuple(spec.name for spec in logged_inputs(manifest.signature)),
        logged_outputs=logged_outputs(primary),
        primary=primary,
        fallback=log_context(route, arm, manifest, "fallback", snapshot_hash),
        headers=((b"x-arm", arm.name.encode()), (b"x-model-version", arm.version.encode())),
        answers_by_name=by_name,
        logged_answer=logged_answer(version),
        rules=logged_inputs_of(manifest.signature, route.log.redact).rules,
    )
