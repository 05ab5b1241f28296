"""Writes versions into a registry directory.

A version is written into a hidden folder beside its place, flushed to the disk, and renamed. So readers see all of it
or nothing, also after a power failure. Two publishers of one model take turns where it matters: a lock file.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import yaml

from registry_sync.errors import AlreadyPublished, RegistryUnavailable, UnknownModel
from registry_sync.registries import Contents
from registry_sync.registries.directory import ALIASES, DirectoryRegistry
from registry_sync.registries.named import require_names
from registry_sync.registries.regular_file import NotRegular, open_regular_file
from registry_sync.registries.same_version import is_same
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Manifest
from runtimes.manifest_text import manifest_to_yaml

_LOCK = ".lock"
_BEING_WRITTEN = ".adding-"
_PIECE = 1024 * 1024
_MAX_BYTES = 4 * 1024**3


class DirectoryPublisher:
    """See `registry_sync.registries.Publisher`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._registry = DirectoryRegistry(root)

    def publish(self, model: str, version: str, manifest: Manifest, contents: Contents) -> bool:
        """See `Publisher.publish`."""
        require_names(model=model, version=version)
        folder, place = self._root / model, self._root / model / version
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(place):
                return self._require_same(model, version, manifest)
            with self._fresh_folder(folder) as fresh:
                for file, digest in manifest.pinned.items():
                    if file not in contents:
                        raise ModelRefused(f"{file} was removed while it was being published.")
                    _write(fresh, file, contents[file], digest)
                _write_bytes(fresh / MANIFEST, manifest_to_yaml(manifest).encode())
                for path, _, _ in os.walk(fresh):
                    _flush_folder(Path(path))
                try:
                    fresh.rename(place)
                except OSError:
                    if not os.path.lexists(place):
                        raise
                    return self._require_same(model, version, manifest)
            _flush_folder(folder)
            _flush_folder(self._root)
        except OSError as error:
            raise RegistryUnavailable(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
        return True

    def set_alias(self, model: str, alias: str, version: str) -> str | None:
        """See `Publisher.set_alias`."""
        require_names(model=model, alias=alias, version=version)
        folder = self._root / model
        try:
            with _locked(folder):
                aliases = dict(self._registry.aliases(model))
                before = aliases.get(alias)
                if before != version:
                    fresh = folder / f".{ALIASES}-{os.getpid()}"
                    fresh.unlink(missing_ok=True)
                    _write_bytes(fresh, yaml.safe_dump({**aliases, alias: version}, sort_keys=False).encode())
                    fresh.replace(folder / ALIASES)
                    _flush_folder(folder)
                return before
        except OSError as error:
            raise RegistryUnavailable(f"{folder / ALIASES} cannot be written: {error.strerror}.") from error

    def _require_same(self, model: str, version: str, manifest: Manifest) -> bool:
        """Return False if this version is there already.

        Raises:
            AlreadyPublished: there is another one.
        """
        try:
            there = self._registry.manifest(model, version)
            files = self._registry.fetch(model, version, there)
        except (ModelRefused, UnknownModel) as error:
            raise AlreadyPublished(
                f"{model}:{version} is there already, and is not whole: {error} Choose another version."
            ) from error
        whole = all(sha256(files[file]).hexdigest() == digest for file, digest in there.pinned.items())
        if whole and is_same(there, manifest):
            return False
        raise AlreadyPublished(
            f"{model}:{version} is there already, with other content. A version never changes; choose another one."
        )

    @contextlib.contextmanager
    def _fresh_folder(self, folder: Path) -> Iterator[Path]:
        """Make a hidden folder, locked while it is written. Remove those that a publisher left when it was ended."""
        with _locked(folder):
            for left in folder.glob(f"{_BEING_WRITTEN}*"):
                _remove_unless_locked(left)
            fresh = Path(tempfile.mkdtemp(prefix=_BEING_WRITTEN, dir=folder))
            fresh.chmod(0o777 & ~_umask())
            descriptor = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield fresh
        finally:
            os.close(descriptor)
            shutil.rmtree(fresh, ignore_errors=True)  # after it was renamed there is none


def _write(folder: Path, file: str, content: Path | bytes, digest: str) -> None:
    """Write a file of a version, and check that it is the one that was checked before."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        found = sha256(content)
        _write_bytes(path, content)
    else:
        found = sha256()
        try:
            with open_regular_file(content, _MAX_BYTES, follows_link=False) as (stream, _), path.open("xb") as written:
                while piece := stream.read(_PIECE):
                    found.update(piece)
                    written.write(piece)
                written.flush()
                os.fsync(written.fileno())
        except NotRegular as error:
            raise ModelRefused(f"{content} {error}.") from error
    if found.hexdigest() != digest:
        raise ModelRefused(
            f"{content if isinstance(content, Path) else file} was changed while it was being published."
        )


def _write_bytes(path: Path, content: bytes) -> None:
    with path.open("xb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let no other publisher of this model into the block."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_unless_locked(left: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(descriptor)


def _umask() -> int:
    """Return the umask of this process, without changing it for other threads for long."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
