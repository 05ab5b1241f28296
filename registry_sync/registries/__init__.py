"""The registries, one file each, and the Protocol that they share."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from runtimes.manifest import Files, Manifest


class Registry(Protocol):
    """Names of versions, and their artifacts. All methods block and may raise `RegistryUnavailable`."""

    def models(self) -> Sequence[str]:
        """Return the name of every model."""

    def versions(self, model: str) -> Sequence[str]:
        """Return every version of a model.

        Raises:
            UnknownModel: there is no such model.
        """

    def aliases(self, model: str) -> Mapping[str, str]:
        """Return the version of each alias.

        Raises:
            UnknownModel: there is no such model.
        """

    def manifest(self, model: str, version: str) -> Manifest:
        """Read the manifest of a version.

        Raises:
            UnknownModel: there is no such version.
            ModelRefused: its manifest cannot be read.
        """

    def fetch(self, model: str, version: str, manifest: Manifest) -> Files:
        """Read the files of a version. They are not verified yet.

        Raises:
            UnknownModel: a file is missing.
        """
