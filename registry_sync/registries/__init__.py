"""The registries, one file each, and the Protocol that they share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
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


Contents = Mapping[str, Path | bytes]
"""The files of a version by their path below its folder: where they lie, or their content."""


class Publisher(Protocol):
    """Takes new versions. A version appears whole or not at all, and never changes. All methods block."""

    def publish(self, model: str, version: str, manifest: Manifest, contents: Contents) -> bool:
        """Write a version: the files that its manifest pins, and the manifest. Return False if it is there already.

        Raises:
            AlreadyPublished: there is another version of this name.
            ModelRefused: a file is not the one that the manifest pins.
            RegistryUnavailable: the registry cannot be written.
        """

    def set_alias(self, model: str, alias: str, version: str) -> str | None:
        """Let an alias name a version. Return the version that it named before.

        Raises:
            RegistryUnavailable: the registry cannot be written, or its aliases cannot be read.
        """
