"""Binds the arms of a declared route to loaded versions. Acts, through the catalogue."""

from registry_sync.catalogue import Catalogue, State, Version
from router.document import RouteSpec
from router.errors import Rejected
from runtimes.errors import ModelRefused
from runtimes.manifest import Signature


def bind(catalogue: Catalogue, spec: RouteSpec, retry: bool = False) -> dict[str, Version]:
    """A READY version for every arm, by the arm's name.

    Raises:
        UnknownModel: the registry has no such model, version or alias.
        ModelRefused: a version is quarantined.
        RegistryUnavailable: the registry does not answer.
        Rejected: the arms' signatures differ.
    """
    versions = {name: catalogue.obtain(*catalogue.resolve(ref), retry=retry) for name, ref in spec.arms.items()}
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


def _shape_of(version: Version) -> list[tuple[str, str, tuple[int, ...]]]:
    """A signature without what is only for the log's readers."""
    signature: Signature = version.manifest.signature
    return [(spec.name, spec.datatype, spec.shape) for spec in (*signature.inputs, *signature.outputs)]
