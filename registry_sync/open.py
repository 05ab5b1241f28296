"""Opens the registry that a setting names."""

from pathlib import Path

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries import Publisher, Registry
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.registries.directory_publisher import DirectoryPublisher


def open_registry(url: str) -> Registry:
    """Return the registry at `url`, the setting POINTSMAN_REGISTRY. Today this is the path of a directory."""
    return DirectoryRegistry(Path(url))


def open_publisher(url: str) -> Publisher:
    """Return what writes to the registry at `url`.

    Raises:
        RegistryUnavailable: versions cannot be written there.
    """
    scheme, found, _ = url.partition("://")
    if found:
        raise RegistryUnavailable(
            f"Versions cannot be published to {scheme}:// yet; POINTSMAN_REGISTRY must be the path of a directory."
        )
    return DirectoryPublisher(Path(url))


def version_folder(url: str, model: str, version: str, empty: Path) -> Path:
    """Return a folder with the files of a version: its own, or else `empty`, into which it was fetched."""
    del empty  # for registries that are no directories
    return Path(url) / model / version
