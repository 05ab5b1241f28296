"""Where a process that checks a version of a registry reads it: it has neither network nor credentials."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from registry_sync.open import is_local, version_folder
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
