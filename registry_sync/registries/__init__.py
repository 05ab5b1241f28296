"""One file per registry, behind one Protocol."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from runtimes.manifest import Manifest


class Registry(Protocol):
    """Names versions and hands out their artifacts. All methods block and may raise `RegistryUnavailable`."""

    def models(self) -> Sequence[str]:
        """Every model's name."""

    def versions(self, model: str) -> Sequence[str]:
        """Every version of a model."""

    def aliases(self, model: str) -> Mapping[str, str]:
        """Alias to version.

        Raises:
            UnknownModel: no such model.
        """

    def manifest(self, model: str, version: str) -> Manifest:
        """What the version says of itself.

        Raises:
            UnknownModel: no such version.
            ModelRefused: its manifest cannot be read.
        """

    def fetch(self, model: str, version: str, manifest: Manifest) -> bytes:
        """The artifact, not yet verified.

        Raises:
            UnknownModel: the file is missing.
        """
