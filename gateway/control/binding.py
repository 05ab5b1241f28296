"""Binds the arms and shadows of a document to loaded versions. Acts, through the catalogue."""

import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.execution.lane import LaneKey
from registry_sync.catalogue import Catalogue, Version, VersionState
from registry_sync.errors import RegistryError
from router.document.document import Candidate, Document
from router.document.phase import PINNED
from router.document.quarantine import refuse_quarantined
from router.errors import Rejected
from router.snapshot import references
from router.spec.spec import ArmRef, RouteSpec
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, Placement, Signature


class Binding(NamedTuple):
    """READY versions by arm and by shadow.

    `without` names, with the reason, what cannot be had and is not needed: shadows, and arms that nobody is sent to. An
    abort must not fail because the version that it takes out of traffic cannot be loaded.
    """

    arms: dict[str, Version]
    shadows: dict[str, Version]
    without: dict[str, str]


def bind(
    catalogue: Catalogue, document: Document, *, retry: bool = False, held: Mapping[str, Version] = MappingProxyType({})
) -> Binding:
    """A READY version for every arm that is needed, and for what else can be had; those that run elsewhere have no
    runtime. What is `held` for a name already is taken as it is, and the registry is not asked for it.

    Raises:
        UnknownModel: the registry has no such model, version or alias.
        ModelRefused: a version is quarantined by the catalogue, or is not what the rollout began with.
        RegistryUnavailable: the registry does not answer.
        Rejected: the arms' signatures differ, or an arm would serve what is in quarantine on this route.
    """
    spec, refs = document.spec, references(document)
    arms, shadows, without = dict[str, Version](), dict[str, Version](), dict[str, str]()
    for name in _by_need(document):
        try:
            found = held.get(name) or _obtain(catalogue, spec.placement, refs[name], retry)
            arms[name] = _ready(found, f"Arm {name}", arms)
        except (RegistryError, ModelRefused, Rejected) as error:
            if _is_needed(document, name):
                raise
            without[name] = str(error)
    _check_candidate(document, arms)
    refuse_quarantined(document, candidates(arms))
    for shadow in document.active_shadows:
        try:
            found = held.get(shadow.name) or _obtain(catalogue, shadow.placement, refs[shadow.name], retry)
            shadows[shadow.name] = _ready(found, f"Shadow {shadow.name}", arms)
        except (RegistryError, ModelRefused, Rejected) as error:
            without[shadow.name] = str(error)
    return Binding(arms, shadows, without)


def _by_need(document: Document) -> list[str]:
    """The arms, those first that are needed: by their signature the others are judged."""
    return sorted(document.spec.arms, key=lambda arm: not _is_needed(document, arm))


def _is_needed(document: Document, arm: str) -> bool:
    spec = document.spec
    return document.weights[arm] > 0 or arm == spec.trusted_arm or arm in (spec.fallbacks or {}).values()


def candidates(arms: Mapping[str, Version]) -> dict[str, Candidate]:
    """What each arm is bound to, as the router has it."""
    return {name: Candidate(version.key.version, version.key.digest) for name, version in arms.items()}


def places(catalogue: Catalogue, document: Document) -> set[LaneKey]:
    """The versions that a document names right now, and where they would run; without those that cannot be resolved."""
    spec, refs = document.spec, references(document)
    found = set()
    for name in spec.arms:
        with contextlib.suppress(RegistryError, ModelRefused):
            key, manifest = catalogue.resolve(refs[name])
            found.add(LaneKey(key, placement_of(spec, manifest)))
    for shadow in document.active_shadows:
        with contextlib.suppress(RegistryError, ModelRefused):
            key, _ = catalogue.resolve(refs[shadow.name])
            found.add(LaneKey(key, placement_named(shadow.placement), is_shadow=True))
    return found


def placement_of(spec: RouteSpec, manifest: Manifest) -> Placement:
    """Where a route wants a version to run: as the route says, or else as the version does."""
    return manifest.placement if spec.placement is None else placement_named(spec.placement)


def placement_named(name: str) -> Placement:
    """A placement that `router.spec.parse` has checked."""
    if name == "dedicated":
        return "dedicated"
    return "process" if name == "process" else "replica"


def _ready(version: Version, what: str, arms: Mapping[str, Version]) -> Version:
    """The version, if it is READY and has the signature of the arms that there are."""
    if version.state is not VersionState.READY:
        raise ModelRefused(version.reason)
    for name, other in arms.items():
        _check_signature(what, version, f"arm {name}", other)
        break
    return version


def _obtain(catalogue: Catalogue, placement: str | None, ref: ArmRef, retry: bool) -> Version:
    """The version, loaded into this process unless it runs elsewhere."""
    key, manifest = catalogue.resolve(ref)
    if (manifest.placement if placement is None else placement) != "replica":
        return Version(key, manifest, VersionState.READY)
    return catalogue.load(key, manifest, retry=retry)


def _check_candidate(document: Document, arms: Mapping[str, Version]) -> None:
    """What is rolled out is pinned by content, not only by name."""
    rollout, state = document.spec.rollout, document.rollout
    if rollout is None or state is None or state.candidate is None or rollout.of not in arms:
        return
    if state.phase not in PINNED:  # it has no traffic; that it is not what it was must not undo an abort
        return
    served = arms[rollout.of].key
    if served.version == state.candidate.version and served.digest != state.candidate.digest:
        raise ModelRefused(
            f"{served} is not what the rollout began with: its artifact is another one now. "
            "Publish it as a new version."
        )


def _check_signature(what: str, version: Version, other_what: str, other: Version) -> None:
    if _shape_of(version) != _shape_of(other):
        raise Rejected(
            f"{what} ({version.key}) has another signature than {other_what} ({other.key}); "
            "all that answer on a route must take and give the same tensors."
        )


def _shape_of(version: Version) -> list[tuple[str, str, tuple[int, ...]]]:
    """A signature without what is only for the log's readers."""
    signature: Signature = version.manifest.signature
    return [(spec.name, spec.datatype, spec.shape) for spec in (*signature.inputs, *signature.outputs)]
