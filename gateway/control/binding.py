"""Binds the arms and shadows of a document to model versions: looks them up in the registry and loads them.

`bind` is the only way in which a version is loaded for a route: when a replica builds its live table, before an
operator's command is written, when routes are declared, and before an alias is followed. With a `Catalogue` it
waits for versions; with other `Versions` it raises StillLoading.
"""

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.control.constants import constant_version
from gateway.control.signatures import seen_alike
from gateway.control.version_loader import Versions
from gateway.execution.lane import LaneKey
from registry_sync.errors import RegistryError
from registry_sync.version import Version, VersionKey, VersionState
from router.compile import references
from router.document.bindings import binding_of
from router.document.document import Candidate, Document
from router.document.quarantine import is_held, refuse_quarantined
from router.errors import Rejected
from router.spec.spec import ArmRef, RouteSpec
from runtimes.errors import ModelRefused, StillLoading
from runtimes.manifest import NOT_IN_REPLICA, RUNS_CODE, Manifest, Placement


class Binding(NamedTuple):
    """READY versions by arm and by shadow.

    `without` gives the reason for each name that cannot be served and is not needed: shadows, and arms that get no
    traffic. An abort must not fail because the version that it takes out of traffic cannot be loaded.
    """

    arms: dict[str, Version]
    shadows: dict[str, Version]
    without: dict[str, str]


def bind(
    versions: Versions, document: Document, *, retry: bool = False, held: Mapping[str, Version] = MappingProxyType({})
) -> Binding:
    """Load a READY version for every arm that is needed, and for every other arm and shadow where that is possible.

    A version that runs in another process gets no runtime here. A version in `held` is taken as it is for its name,
    without asking the registry. `retry` loads quarantined versions again.

    Raises:
        StillLoading: a version that is needed is not here yet.
        UnknownModel: the registry has no such model, version or alias.
        ModelRefused: a version is quarantined by the catalogue, or its artifact is not the one that the document names.
        RegistryUnavailable: the registry does not answer.
        Rejected: the arms' signatures differ, or an arm would serve a version in quarantine on this route.
    """
    spec = document.spec
    arms, shadows, without = dict[str, Version](), dict[str, Version](), dict[str, str]()
    pending: StillLoading | None = None
    for name in _by_need(document):
        try:
            found = held.get(name) or _obtain(versions, document, name, spec.placement, retry)
            arms[name] = _ready(found, f"Arm {name}", arms)
        except (RegistryError, ModelRefused, Rejected) as error:
            if not is_needed(document, name):
                without[name] = str(error)
            elif isinstance(error, StillLoading):  # the other arms are loaded at the same time
                pending = pending or error
            else:
                raise
    if pending is not None:
        try:
            raise pending
        finally:
            del pending  # a cycle with this frame would keep the versions in memory
    refuse_quarantined(document, candidates(arms))
    if document.quarantine:
        refuse_quarantined(document, _earlier(arms))
    for name, found in _shadows(versions, document, retry, held, without):
        try:
            shadows[name] = _ready(found, f"Shadow {name}", arms)
        except (ModelRefused, Rejected) as error:
            without[name] = str(error)
    return Binding(arms, shadows, without)


def _shadows(
    versions: Versions, document: Document, retry: bool, held: Mapping[str, Version], without: dict[str, str]
) -> Iterator[tuple[str, Version]]:
    """Yield the version of each shadow that can be obtained and is not in quarantine. Others go to `without`."""
    refs = references(document)
    for shadow in document.active_shadows:
        try:
            found = held.get(shadow.name)
            key = versions.resolve(refs[shadow.name])[0] if found is None else found.key
            if document.quarantine and is_held(document, shadow, key.digest):
                continue
            found = found or _obtain(versions, document, shadow.name, shadow.placement, retry)
        except (RegistryError, ModelRefused, Rejected) as error:
            without[shadow.name] = str(error)
        else:
            yield shadow.name, found


def candidate_of(versions: Versions, ref: ArmRef) -> Candidate:
    """Return the version that a reference names now; while the registry does not answer, the last one it named.

    Raises:
        UnknownModel, ModelRefused, RegistryUnavailable: it cannot be found out.
    """
    key, _ = _resolve(versions, ref)
    return Candidate(key.version, key.digest)


def _resolve(versions: Versions, ref: ArmRef) -> tuple[VersionKey, Manifest]:
    """Return the version that a reference names. The registry is not asked about an arm without a model."""
    if ref.value is None:
        return versions.resolve(ref)
    constant = constant_version(ref)
    return constant.key, constant.manifest


def candidates(arms: Mapping[str, Version]) -> dict[str, Candidate]:
    """Return the version of each arm in the router's form."""
    return {name: Candidate(version.key.version, version.key.digest) for name, version in arms.items()}


def _earlier(arms: Mapping[str, Version]) -> dict[str, Candidate]:
    """Return the version of each arm as a quarantine from before decision 024 names it."""
    return {name: Candidate(version.key.version, version.manifest.earlier_digest) for name, version in arms.items()}


def require_released(
    versions: Versions, document: Document, serving: Mapping[str, Candidate] = MappingProxyType({})
) -> None:
    """Reject a document under which an arm would serve a version that is in quarantine on its route.

    The registry is asked only if the route has a quarantine, and only about arms whose version neither the document nor
    `serving` says: a shift must not depend on the registry.

    Raises:
        Rejected: an arm would serve such a version.
        UnknownModel, ModelRefused, RegistryUnavailable: the version of an arm cannot be found out.
    """
    if not document.quarantine:
        return
    spec, refs, weights = document.spec, references(document), document.weights
    wanted = {arm for arm in spec.arms if weights[arm] or (spec.is_exclusive and arm == spec.trusted_arm)}
    found = dict.fromkeys(spec.arms, Candidate("", ""))
    for arm in wanted:
        found[arm] = binding_of(document, arm) or serving.get(arm) or candidate_of(versions, refs[arm])
    refuse_quarantined(document, found)


def places(versions: Versions, document: Document) -> set[LaneKey]:
    """Return the versions that a document names now, each with its placement; leave out what cannot be resolved."""
    spec, refs = document.spec, references(document)
    found = set()
    for name in spec.arms:
        with contextlib.suppress(RegistryError, ModelRefused):
            key, manifest = _resolve(versions, refs[name])
            found.add(LaneKey(key, placement_of(spec, manifest)))
    for shadow in document.active_shadows:
        with contextlib.suppress(RegistryError, ModelRefused):
            key, _ = versions.resolve(refs[shadow.name])
            found.add(LaneKey(key, placement_named(shadow.placement), is_shadow=True))
    return found


def placement_of(spec: RouteSpec, manifest: Manifest) -> Placement:
    """Return where a version runs on a route: the route's placement, or else the version's own."""
    if spec.placement is None or manifest.runtime == "constant":
        return manifest.placement
    return placement_named(spec.placement)


def placement_named(name: str) -> Placement:
    """Return the placement of that name, which `router.spec.parse` has checked."""
    if name == "dedicated":
        return "dedicated"
    return "process" if name == "process" else "replica"


def _by_need(document: Document) -> list[str]:
    """Return the arms: the trusted one, whose signature callers see, then the other needed ones, then the rest.

    Arms without a model come last, because they can answer under the signature of any model.
    """
    arms, trusted = document.spec.arms, document.spec.trusted_arm
    return sorted(arms, key=lambda arm: (arms[arm].value is not None, arm != trusted, not is_needed(document, arm)))


def is_needed(document: Document, arm: str) -> bool:
    """Return True if a route cannot be served without this arm."""
    spec = document.spec
    if document.weights[arm] > 0 or arm == spec.trusted_arm or arm in (spec.fallbacks or {}).values():
        return True
    models = [name for name, ref in spec.arms.items() if ref.value is None]
    return len(models) < len(spec.arms) and arm in models[:1]  # values cannot say what callers send; a model must


def _ready(version: Version, what: str, arms: Mapping[str, Version]) -> Version:
    """Return the version if it is READY, behind the signature of the first arm."""
    if version.state is not VersionState.READY:
        raise ModelRefused(version.reason)
    for name, other in arms.items():
        return seen_alike(what, version, f"arm {name}", other)
    return version.own or version


def _obtain(versions: Versions, document: Document, name: str, placement: str | None, retry: bool) -> Version:
    """Return the version of an arm or shadow, loaded into this process unless it runs in another one."""
    ref = references(document)[name]
    if ref.value is not None:
        return constant_version(ref)
    key, manifest = versions.resolve(ref)
    _refuse_replaced(document, name, key, manifest)
    where = manifest.placement if placement is None else placement
    if where == "replica" and manifest.runtime in RUNS_CODE:
        raise ModelRefused(f"{key} {NOT_IN_REPLICA}")
    if where != "replica":
        return Version(key, manifest, VersionState.READY)
    return versions.load(key, manifest, retry=retry)


def _refuse_replaced(document: Document, name: str, key: VersionKey, manifest: Manifest) -> None:
    """Refuse a version whose artifact has changed: the document binds a name by digest, not only by version."""
    bound = binding_of(document, name)
    if bound is None or bound.version != key.version or bound.digest in (key.digest, manifest.earlier_digest):
        return
    rollout = document.spec.rollout
    is_candidate = rollout is not None and rollout.of == name
    what = "the rollout began with" if is_candidate else f"{name} is bound to"
    raise ModelRefused(f"{key} is not what {what}: its artifact is another one now. Publish it as a new version.")
