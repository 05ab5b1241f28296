"""Where a process that checks a version of a registry reads it: it has neither network nor credentials."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from registry_sync.open import is_local, open_remote, version_folder
from runtimes.manifest import is_below
from runtimes.python.folder import temporary_folder


@contextlib.contextmanager
def readable_registry(url: str, model: str, version: str) -> Iterator[str]:
    """Give a registry with this version that such a process can read. Files that are fetched are removed afterwards.

    Raises:
        RegistryError: the version cannot be fetched.
    """
    if is_local(url):
        yield str(Path(url).absolute())
        return
    with temporary_folder() as root:
        folder = root / model / version
        folder.mkdir(parents=True)
        version_folder(url, model, version, folder)
        yield str(root)


@contextlib.contextmanager
def fetched_files(url: str, model: str, version: str) -> Iterator[Mapping[str, Path]]:
    """Give the place of each file of a version of a remote registry, by its path in the version.

    A version without a manifest, as in MLflow, is checked by them. They are removed afterwards.

    Raises:
        RegistryError: the version cannot be fetched.
    """
    registry = open_remote(url)
    with temporary_folder() as root:
        places = {file: root / file for file in registry.files(model, version) if is_below(file)}
        for file, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as written:
                written.writelines(registry.read(model, version, file))
        yield places
