"""Where a process that checks a version of a registry reads it: it has neither network nor credentials."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from registry_sync.open import is_local, open_remote
from runtimes.manifest import MANIFEST, is_below
from runtimes.manifest_text import manifest_to_yaml
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
    registry = open_remote(url)
    manifest = registry.manifest(model, version)
    with temporary_folder() as root:
        folder = root / model / version
        for file in manifest.pinned:
            _write(folder / file, registry.read(model, version, file))
        _write(folder / MANIFEST, [manifest_to_yaml(manifest).encode()])
        yield str(root)


@contextlib.contextmanager
def fetched_files(url: str, model: str, version: str) -> Iterator[dict[str, Path]]:
    """Give the place of each file of a version of a remote registry, by its path in the version.

    No manifest is needed. The files are removed afterwards.

    Raises:
        RegistryError: the version cannot be fetched.
        ModelRefused: a file is larger than the registry allows.
    """
    registry = open_remote(url)
    with temporary_folder() as root:
        files: dict[str, Path] = {}
        for number, file in enumerate(filter(is_below, registry.files(model, version))):
            files[file] = root / str(number)
            _write(files[file], registry.read(model, version, file))
        yield files


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as opened:
        opened.writelines(pieces)
