"""A registry in a directory. Acts.

Layout: `<root>/<model>/<version>/model.yaml` with the artifact beside it, and `<root>/<model>/aliases.yaml`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import yaml

from registry_sync.errors import RegistryUnavailable, UnknownModel
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, parse_manifest

MANIFEST = "model.yaml"
ALIASES = "aliases.yaml"


class DirectoryRegistry:
    """See `registry_sync.registries.Registry`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def models(self) -> Sequence[str]:
        """See `Registry.models`."""
        try:
            return sorted(path.name for path in self._root.iterdir() if path.is_dir())
        except FileNotFoundError as error:
            raise RegistryUnavailable(f"The registry directory {self._root} does not exist.") from error
        except OSError as error:
            raise RegistryUnavailable(f"The registry directory {self._root} cannot be read: {error}.") from error

    def versions(self, model: str) -> Sequence[str]:
        """See `Registry.versions`."""
        if model not in self.models():
            raise UnknownModel(f"The registry has no model {model!r}; it has {', '.join(self.models()) or 'none'}.")
        return sorted(
            (path.parent.name for path in (self._root / model).glob(f"*/{MANIFEST}")),
            key=lambda version: (len(version), version),
        )

    def aliases(self, model: str) -> Mapping[str, str]:
        """See `Registry.aliases`."""
        self.versions(model)
        path = self._root / model / ALIASES
        try:
            aliases = msgspec.convert(yaml.safe_load(path.read_text()) or {}, dict[str, str | int])
        except FileNotFoundError:
            return {}
        except (OSError, yaml.YAMLError, ValueError) as error:
            raise RegistryUnavailable(f"{model}/{ALIASES} cannot be read: {error}.") from error
        return {alias: str(version) for alias, version in aliases.items()}

    def manifest(self, model: str, version: str) -> Manifest:
        """See `Registry.manifest`."""
        if version not in self.versions(model):
            raise UnknownModel(f"Model {model} has no version {version!r}; it has {', '.join(self.versions(model))}.")
        path = self._root / model / version / MANIFEST
        try:
            return parse_manifest(path.read_text())
        except FileNotFoundError as error:
            raise UnknownModel(f"{model}:{version} was removed from the registry.") from error
        except UnicodeDecodeError as error:
            raise ModelRefused(f"{model}/{version}/{MANIFEST} is not text: {error}.") from error
        except OSError as error:
            raise RegistryUnavailable(f"{path} cannot be read: {error}.") from error

    def fetch(self, model: str, version: str, manifest: Manifest) -> bytes:
        """See `Registry.fetch`."""
        path = self._root / model / version / manifest.file
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise UnknownModel(f"The artifact {model}/{version}/{manifest.file} is missing.") from error
        except OSError as error:
            raise RegistryUnavailable(f"{path} cannot be read: {error}.") from error
