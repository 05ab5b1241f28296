"""The registries, one file each, and the Protocol that they share."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

from runtimes.manifest import Files, Manifest


class Details(NamedTuple):
    """What a registry knows of a version besides its content. Tags may change at any time.

    `run_id` and `data_set` name the training run and its data, `source` is where the run wrote the artifact, and
    `registered_by` who registered the version. Each is empty where the registry does not know it.
    """

    tags: Mapping[str, str] = MappingProxyType({})
    run_id: str = ""
    data_set: str = ""
    source: str = ""
    registered_by: str = ""


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

    def details(self, model: str, version: str) -> Details:
        """Return what else is known of a version.

        Raises:
            UnknownModel: there is no such version.
        """


class RemoteRegistry(Registry, Protocol):
    """A registry that is read over a network. `registry_sync.copy` copies from it what a machine needs.

    `manifest` raises `NoManifest` for a version that has none, as in MLflow: the copy makes one out of the files.
    """

    def all_aliases(self, models: Collection[str]) -> Mapping[str, Mapping[str, str] | str]:
        """Return the aliases of each of these models that is there, with as few requests as the registry allows.

        Of a model that alone cannot be read, return the sentence that says why. Without any models, ask if the registry
        answers.
        """

    def files(self, model: str, version: str) -> Mapping[str, int]:
        """Return the size in bytes of every file of a version, by its path below the version's folder.

        Raises:
            UnknownModel: there is no such version.
        """

    def read(self, model: str, version: str, file: str) -> Iterator[bytes]:
        """Read a file piece by piece.

        Raises:
            UnknownModel: it is missing.
        """


Contents = Mapping[str, Path | bytes]
"""The files of a version by their path below its folder: where they lie, or their content."""


class Publisher(Protocol):
    """Takes new versions. A version appears whole or not at all, and never changes. All methods block."""

    def publish(self, model: str, version: str, manifest: Manifest, contents: Contents) -> bool:
        """Write a version: the files that its manifest pins, and the manifest. Return False if it is there already.

        Raises:
            AlreadyPublished: there is another version of this name.
            ModelRefused: a file is not the one that the manifest pins, or no route could have these names.
            RegistryUnavailable: the registry cannot be written.
        """

    def set_alias(self, model: str, alias: str, version: str) -> str | None:
        """Let an alias name a version. Return the version that it named before.

        Raises:
            ModelRefused: no route could have these names.
            RegistryUnavailable: the registry cannot be written, or its aliases cannot be read.
        """
