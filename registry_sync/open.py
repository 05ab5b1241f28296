"""Opens the registry that a setting names."""

import os
import re
from pathlib import Path

from registry_sync.copy import copy_folder
from registry_sync.copy.local_copy import LocalCopy
from registry_sync.errors import RegistryUnavailable
from registry_sync.registries import Publisher, Registry, RemoteRegistry
from registry_sync.registries.directory import DirectoryRegistry
from registry_sync.registries.directory_publisher import DirectoryPublisher

MLFLOW = ("mlflow+http", "mlflow+https", "mlflow+sagemaker", "databricks")
"""The schemes of `registry_sync.registries.mlflow.server`."""

CREDENTIALS = ("AWS_", "MLFLOW_", "DATABRICKS_", "SAGEMAKER_")
"""How the variables begin with which remote registries are reached."""

_COPY = "copy://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""How a URL begins (RFC 3986, section 3.1)."""
_COPIED_WITHIN_S = 30.0
"""How long a command of an operator waits for what is not in the copy yet. Then it is refused, and may be given again.
The companion goes on."""


def open_registry(url: str) -> Registry:
    """Return the registry at `url`, the setting POINTSMAN_REGISTRY: see docs/registries.md.

    A process of a model gets the result of `serving_url` instead.

    Raises:
        RegistryUnavailable: there are no registries of this kind.
    """
    if is_local(url):
        return DirectoryRegistry(Path(url))
    if url.startswith(_COPY):
        return LocalCopy(Path(url.removeprefix(_COPY)))
    return open_remote(url)


def serving_url(url: str, home: Path) -> str:
    """Return the URL of the registry from which versions are served: the directory itself, or the copy in the home.

    A process without network and credentials can read it.
    """
    return str(Path(url).absolute()) if is_local(url) else f"{_COPY}{copy_folder(home, url).absolute()}"


def open_for_serving(url: str, home: Path) -> Registry:
    """Return the registry at `url` for a process that serves: the directory itself, or this machine's copy of it.

    What is not in the copy yet is waited for; `LocalCopy.glance` does not wait.
    """
    return DirectoryRegistry(Path(url)) if is_local(url) else LocalCopy(copy_folder(home, url), _COPIED_WITHIN_S)


def open_remote(url: str) -> RemoteRegistry:
    """Return the registry at `url`, which is not a directory.

    Raises:
        RegistryUnavailable: there are no registries of this kind.
    """
    scheme = url.partition("://")[0]
    if scheme in MLFLOW:
        from registry_sync.registries.mlflow.open import open_mlflow

        return open_mlflow(url)
    if scheme != "s3":
        raise RegistryUnavailable(_sentence(url))
    from registry_sync.registries.s3 import S3Registry, parse_place, s3_client

    return S3Registry(parse_place(url), s3_client())


def check_setting(url: str) -> None:
    """Reject a URL that no registry can have. Nothing is sent.

    boto3 is not imported: without Ray, the process that asks this is the replica.

    Raises:
        RegistryUnavailable: there are no registries of this kind, or a variable that it needs is missing.
    """
    if is_local(url):
        return
    scheme, _, rest = url.partition("://")
    if scheme in MLFLOW:
        from registry_sync.registries.mlflow.server import read_server

        read_server(url, os.environ)
    elif scheme == "s3" and not rest.partition("/")[0]:
        raise RegistryUnavailable(f"{url} names no bucket; write s3://BUCKET/PREFIX.")
    elif scheme != "s3":
        raise RegistryUnavailable(_sentence(url))


def open_publisher(url: str) -> Publisher:
    """Return what writes to the registry at `url`.

    Raises:
        RegistryUnavailable: versions cannot be written there.
    """
    if is_local(url):
        return DirectoryPublisher(Path(url))
    scheme = url.partition("://")[0]
    if scheme in MLFLOW:
        from registry_sync.registries.mlflow.open import open_mlflow_publisher

        return open_mlflow_publisher(url)
    if scheme != "s3":
        raise RegistryUnavailable(_sentence(url))
    from registry_sync.registries.s3 import parse_place, s3_client
    from registry_sync.registries.s3_publisher import S3Publisher

    return S3Publisher(parse_place(url), s3_client())


def is_local(url: str) -> bool:
    """Return True if the registry is a directory. `./` before a path that looks like a URL makes it one."""
    return _SCHEME.match(url) is None


def _sentence(url: str) -> str:
    scheme, slashes, _ = url.partition("://")
    if not slashes:
        scheme = url.partition(":")[0]
        if scheme in (*MLFLOW, "s3"):
            return f"{url} is no URL of a registry: write two slashes, {scheme}://."
    if scheme in ("http", "https"):
        return f"POINTSMAN_REGISTRY names no kind of registry. For MLflow, write mlflow+{scheme}://HOST:PORT."
    return (
        f"There are no registries at {scheme}://; POINTSMAN_REGISTRY is the path of a directory, s3://BUCKET/PREFIX, "
        "or mlflow+http://HOST:PORT (docs/registries.md)."
    )
