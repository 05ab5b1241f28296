"""Opens the registry that a setting names."""

from pathlib import Path

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries import Publisher, Registry
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.registries.directory_publisher import DirectoryPublisher
from runtimes.manifest import MANIFEST
from runtimes.manifest_text import manifest_to_yaml

MLFLOW = ("mlflow+http", "mlflow+https", "mlflow+sagemaker", "databricks")
"""The schemes of `registry_sync.registries.mlflow.server`."""


def open_registry(url: str) -> Registry:
    """Return the registry at `url`, the setting POINTSMAN_REGISTRY: see docs/registries.md.

    Raises:
        RegistryUnavailable: there are no registries of this kind.
    """
    scheme, found, _ = url.partition("://")
    if not found:
        return DirectoryRegistry(Path(url))
    if scheme in MLFLOW:
        from registry_sync.registries.mlflow.open import open_mlflow

        return open_mlflow(url)
    if scheme != "s3":
        raise RegistryUnavailable(_sentence(scheme))
    from registry_sync.registries.s3 import S3Registry, parse_place, s3_client

    return S3Registry(parse_place(url), s3_client())


def open_publisher(url: str) -> Publisher:
    """Return what writes to the registry at `url`.

    Raises:
        RegistryUnavailable: versions cannot be written there.
    """
    scheme, found, _ = url.partition("://")
    if not found:
        return DirectoryPublisher(Path(url))
    if scheme in MLFLOW:
        from registry_sync.registries.mlflow.open import open_mlflow_publisher

        return open_mlflow_publisher(url)
    if scheme != "s3":
        raise RegistryUnavailable(_sentence(scheme))
    from registry_sync.registries.s3 import parse_place, s3_client
    from registry_sync.registries.s3_publisher import S3Publisher

    return S3Publisher(parse_place(url), s3_client())


def version_folder(url: str, model: str, version: str, empty: Path) -> Path:
    """Return a folder with the files of a version: its own, or else `empty`, into which it was fetched."""
    if is_local(url):
        return Path(url) / model / version
    registry = open_registry(url)
    manifest = registry.manifest(model, version)
    for file, content in registry.fetch(model, version, manifest).items():
        (empty / file).parent.mkdir(parents=True, exist_ok=True)
        (empty / file).write_bytes(content)
    (empty / MANIFEST).write_text(manifest_to_yaml(manifest))
    return empty


def is_local(url: str) -> bool:
    """Return True if the registry is a directory, which a process without network and credentials can read."""
    return "://" not in url


def _sentence(scheme: str) -> str:
    return (
        f"There are no registries at {scheme}://; POINTSMAN_REGISTRY is the path of a directory, s3://BUCKET/PREFIX, "
        "or mlflow+http://HOST:PORT (docs/registries.md)."
    )
