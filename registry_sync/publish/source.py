"""The files that a person publishes: one file, or all files below a folder. Links and pipes are refused."""

import os
from collections.abc import Iterator
from pathlib import Path

from registry_sync.registries.regular_file import NotRegular, read_regular_file
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, is_below

MAX_FILE_BYTES = 4 * 1024**3
"""As a registry takes it: twice the size of the largest ONNX file, which protobuf limits."""
_MOST_FILES = 10_000
_LEFT_OUT = frozenset({"__pycache__"})


def list_files(source: Path) -> dict[str, Path]:
    """Return the path of each file, by its path below the folder. Hidden files and `__pycache__` are left out.

    Raises:
        ModelRefused: there is none, there are too many, or one is a link or no regular file.
        OSError: the folder cannot be read.
    """
    if source.is_symlink():
        raise ModelRefused(f"{source} is a link; name the file or the folder itself.")
    if not source.exists():
        raise ModelRefused(f"There is no file or folder {source}.")
    if not source.is_dir():
        return {_named(source.name, source): source}
    found: dict[str, Path] = {}
    for path in _below(source):
        found[_named(str(path.relative_to(source)), path)] = path
        if len(found) > _MOST_FILES:
            raise ModelRefused(f"{source} has more than {_MOST_FILES} files; a version is one model.")
    if not found.keys() - {MANIFEST}:
        raise ModelRefused(f"{source} has no file of a model.")
    return found


def _below(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as listed:
        entries = sorted(listed, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _LEFT_OUT:
            continue
        if entry.is_symlink():
            raise ModelRefused(f"{entry.path} is a link; put the file itself there.")
        if entry.is_dir():
            yield from _below(Path(entry.path))
        else:
            yield Path(entry.path)


def _named(name: str, path: Path) -> str:
    if not is_below(name):
        raise ModelRefused(f"{path}: a version cannot have a file of this name; rename it.")
    return name


def read_files(source: Path) -> dict[str, bytes]:
    """Return the content of the files of `list_files`. Raises like it."""
    return {name: read_file(path) for name, path in list_files(source).items()}


def read_file(path: Path) -> bytes:
    """Return the content of one file.

    Raises:
        ModelRefused: it is a link, no regular file, or too large.
        OSError: it cannot be read.
    """
    try:
        return read_regular_file(path, MAX_FILE_BYTES, follows_link=False)
    except NotRegular as error:
        raise ModelRefused(f"{path} {error}.") from error
