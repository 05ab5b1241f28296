"""Binds the arms of a declared route to loaded versions. Acts, through the catalogue."""

import contextlib

from registry_sync.catalogue import Catalogue, State, Version, VersionKey
from registry_sync.errors import RegistryError
from router.document import ArmRef, RouteSpec
from router.errors import Rejected
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, Placement, Signature


def bind(catalogue: Catalogue, spec: RouteSpec, retry: bool = False) -> dict[str, Version]:
    """A READY version for every arm, by the arm's name; those that run elsewhere without a runtime.

    Raises:
        UnknownModel: the registry has no such model, version or alias.
        ModelRefused: a version is quarantined.
        RegistryUnavailable: the registry does not answer.
        Rejected: the arms' signatures differ.
    """
    versions = {name: _obtain(catalogue, spec, ref, retry) for name, ref in spec.arms.items()}
    for version in versions.values():
        if version.state is not State.READY:
            raise ModelRefused(version.reason)
    first, *others = versions
    for other in others:
        if _shape_of(versions[other]) != _shape_of(versions[first]):
            raise Rejected(
                f"Arm {other} ({versions[other].key}) has another signature than arm {first} "
                f"({versions[first].key}); the arms of a route must take and give the same tensors."
            )
    return versions


def named(catalogue: Catalogue, spec: RouteSpec) -> set[tuple[VersionKey, Placement]]:
    """The versions that the arms name right now, and where they would run; without those that cannot be resolved."""
    found = set()
    for ref in spec.arms.values():
        with contextlib.suppress(RegistryError, ModelRefused):
            key, manifest = catalogue.resolve(ref)
            found.add((key, placement_of(spec, manifest)))
    return found


def placement_of(spec: RouteSpec, manifest: Manifest) -> Placement:
    """Where a route wants a version to run: as the route says, or else as the version does."""
    if spec.placement is None:
        return manifest.placement
    return "dedicated" if spec.placement == "dedicated" else "replica"


def _obtain(catalogue: Catalogue, spec: RouteSpec, ref: ArmRef, retry: bool) -> Version:
    """The version, loaded into this process unless it runs elsewhere."""
    key, manifest = catalogue.resolve(ref)
    if placement_of(spec, manifest) == "dedicated":
        return Version(key, manifest, State.READY)
    return catalogue.obtain(key, manifest, retry=retry)


def _shape_of(version: Version) -> list[tuple[str, str, tuple[int, ...]]]:
    """A signature without what is only for the log's readers."""
    signature: Signature = version.manifest.signature
    return [(spec.name, spec.datatype, spec.shape) for spec in (*signature.inputs, *signature.outputs)]
