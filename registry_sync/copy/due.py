"""What is wanted and not there: a pure difference."""

from collections.abc import Collection, Iterable, Mapping

from registry_sync.copy.names import KnownModel, KnownVersion
from registry_sync.copy.wanted import Want
from router.spec.references import is_name
from router.spec.spec import ArmRef

VersionName = tuple[str, str]
"""A model and a version of it."""


def needed_models(refs: Iterable[ArmRef], wants: Iterable[Want]) -> frozenset[str]:
    """Return the models whose aliases are followed."""
    return frozenset({ref.model for ref in refs} | {want.model for want in wants})


def needed_versions(
    refs: Iterable[ArmRef], wants: Iterable[Want], known: Mapping[str, KnownModel]
) -> frozenset[VersionName]:
    """Return the versions that documents name, those that their aliases name, and those that are waited for.

    A version whose name no route can have is none: see `is_name`.
    """
    found = {(want.model, want.version) for want in wants if want.version}
    for ref in refs:
        version = ref.version
        if ref.alias is not None:
            model = known.get(ref.model)
            version = None if model is None else (model.aliases or {}).get(ref.alias)
        if version is not None and is_name(version):
            found.add((ref.model, version))
    return frozenset(found)


def missing_versions(
    needed: Iterable[VersionName], known: Mapping[str, KnownModel], blobs: Collection[str]
) -> list[VersionName]:
    """Return the needed versions that are not here as a whole."""
    return sorted((model, version) for model, version in needed if not is_whole(_of(known, model, version), blobs))


def is_whole(version: KnownVersion, blobs: Collection[str]) -> bool:
    """Return True if the manifest and all files of a version are here."""
    return bool(version.manifest) and all(digest in blobs for digest in version.files.values())


def kept_digests(needed: Iterable[VersionName], known: Mapping[str, KnownModel]) -> set[str]:
    """Return the files that must stay."""
    return {digest for model, version in needed for digest in _of(known, model, version).files.values()}


def _of(known: Mapping[str, KnownModel], model: str, version: str) -> KnownVersion:
    found = known.get(model)
    return KnownVersion() if found is None else found.versions.get(version, KnownVersion())
