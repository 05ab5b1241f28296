"""The versions that a route names, as far as they are here: asked for, and never waited for."""

from collections.abc import Collection
from typing import Protocol

from registry_sync.catalogue import Catalogue
from registry_sync.reference_reader import ReferenceReader
from registry_sync.registries import Details
from registry_sync.version import Version, VersionKey
from router.spec.spec import ArmRef
from runtimes.manifest import Manifest


class Versions(Protocol):
    """What binding a document needs: `Catalogue` waits for a version, the others do not."""

    def resolve(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """Return the version that a reference names.

        Raises:
            UnknownModel, ModelRefused, RegistryUnavailable: see `Catalogue.resolve`.
        """

    def load(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> Version:
        """Return the version, READY or QUARANTINED. With `retry`, a quarantined version is tried again.

        Raises:
            StillLoading: it is not here yet.
            RegistryUnavailable: it cannot be fetched.
        """

    def has_news(self) -> bool:
        """Return True if `load` may say something else of a version than at the last call."""


class DetailedVersions(Versions, Protocol):
    """Versions of which the registry can be asked what else it knows."""

    def details(self, model: str, version: str) -> Details:
        """Return what was read of a version last, without waiting. See `Registry.details`."""

    def fresh_details(self, model: str, version: str) -> Details:
        """Return the details as of now; wait for them. See `Registry.details`."""


class VersionLoader:
    """Has references read and versions loaded in the background. The reconciler asks it, and asks again."""

    def __init__(self, catalogue: Catalogue, reader: ReferenceReader) -> None:
        self.reader = reader
        self._catalogue = catalogue

    def resolve(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """See `ReferenceReader.resolve`."""
        return self.reader.resolve(ref)

    def load(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> Version:  # noqa: ARG002  # the Protocol's
        """See `Catalogue.loaded`."""
        return self._catalogue.loaded(key, manifest)

    def has_news(self) -> bool:
        """Return True if a version was loaded, or refused, since the last call."""
        return self._catalogue.has_news()

    def is_memory_short(self) -> bool:
        """Return True if a version had to wait for memory since the last call."""
        return self._catalogue.loader.was_short_of_memory()

    def retain(self, refs: Collection[ArmRef], keys: set[VersionKey]) -> None:
        """Forget all other references and versions."""
        self.reader.retain(refs)
        self._catalogue.retain(keys)
