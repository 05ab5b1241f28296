"""Opens the registry that a setting names."""

from pathlib import Path

from registry_sync.registries import Registry
from registry_sync.registries.directory import DirectoryRegistry


def open_registry(url: str) -> Registry:
    """Return the registry at `url`, the setting POINTSMAN_REGISTRY. Today this is the path of a directory."""
    return DirectoryRegistry(Path(url))
