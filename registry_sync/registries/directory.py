"""A registry in a directory.

Layout: `<root>/<model>/<version>/model.yaml` with the artifact beside it, and `<root>/<model>/aliases.yaml`.

Files are opened directly. Directories are listed only if that fails, to find out why: the registry may be a network
file system, where a listing is slow, and it is looked at every few seconds. Opening a file there fetches its attributes
anew. Its content is read only if they have changed.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.listed import listed
from registry_sync.registries import Details
from registry_sync.registries.details import details_of
from registry_sync.registries.regular_file import NotRegular, open_regular_file, opened_stat, read_regular_file
from registry_sync.registries.texts import parse_aliases, read_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Files, Manifest

ALIASES = "aliases.yaml"

_MAX_TEXT_BYTES = 1024 * 1024
_MAX_ARTIFACT_BYTES = 4 * 1024**3
"""Twice the size of the largest ONNX file, which protobuf limits."""
_SETTLED_NS = 2_000_000_000
"""A file that was changed more recently than this is read again: its next change may leave its time and size alike.

The coarsest times of file systems have two seconds (FAT)."""


class _Text(NamedTuple):
    """The content of a file, and its attributes when it was read."""

    stamp: tuple[int, ...]
    content: str


class DirectoryRegistry:
    """See `registry_sync.registries.Registry`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._texts: dict[str, _Text] = {}

    def models(self) -> Sequence[str]:
        """See `Registry.models`."""
        try:
            return sorted(path.name for path in self._root.iterdir() if path.name[0] != "." and path.is_dir())
        except FileNotFoundError as error:
            raise RegistryUnavailable(
                f"The registry directory {self._root} does not exist. Set POINTSMAN_REGISTRY, or publish a version "
                "with `pointsman models add`."
            ) from error
        except OSError as error:
            raise RegistryUnavailable(f"The registry directory {self._root} cannot be read: {error}.") from error

    def versions(self, model: str) -> Sequence[str]:
        """See `Registry.versions`."""
        self._require(model)
        return sorted(
            (path.parent.name for path in (self._root / model).glob(f"[!.]*/{MANIFEST}")),  # hidden: being written
            key=lambda version: (len(version), version),
        )

    def aliases(self, model: str) -> Mapping[str, str]:
        """See `Registry.aliases`."""
        try:
            text = self._read(model, ALIASES)
        except FileNotFoundError:
            self._require(model)
            return {}
        except (OSError, UnicodeDecodeError) as error:
            self._require(model)
            raise RegistryUnavailable(f"{model}/{ALIASES} cannot be read: {error}.") from error
        return parse_aliases(text, f"{model}/{ALIASES}")

    def manifest(self, model: str, version: str) -> Manifest:
        """See `Registry.manifest`."""
        try:
            text = self._read(model, version, MANIFEST)
        except UnicodeDecodeError as error:
            raise ModelRefused(f"{model}/{version}/{MANIFEST} is not text: {error}.") from error
        except OSError as error:
            versions = self.versions(model)
            if version not in versions:
                known = listed(versions)
                raise UnknownModel(f"Model {model} has no version {version!r}; it has {known}.") from error
            if isinstance(error, FileNotFoundError):
                raise UnknownModel(f"{model}:{version} was removed from the registry.") from error
            path = self._root / model / version / MANIFEST
            raise RegistryUnavailable(f"{path} cannot be read: {error}.") from error
        return read_manifest(text)

    def fetch(self, model: str, version: str, manifest: Manifest) -> Files:
        """See `Registry.fetch`."""
        return {file: self._fetch(model, version, file) for file in manifest.pinned}

    def details(self, model: str, version: str) -> Details:
        """See `Registry.details`."""
        return details_of(self.manifest(model, version))

    def _fetch(self, model: str, version: str, file: str) -> bytes:
        path = self._root / model / version / file
        try:
            return read_regular_file(path, _MAX_ARTIFACT_BYTES, follows_link=False)
        except FileNotFoundError as error:
            raise UnknownModel(f"The artifact {model}/{version}/{file} is missing.") from error
        except NotRegular as error:
            raise ModelRefused(f"{model}/{version}/{file} {error}.") from error
        except OSError as error:
            raise RegistryUnavailable(f"{path} cannot be read: {error}.") from error

    def _require(self, model: str) -> None:
        """Raise `UnknownModel`, with the names of the models there are, if there is no such model."""
        models = self.models()
        if model not in models:
            raise UnknownModel(f"The registry has no model {model!r}; it has {listed(models)}.")

    def _read(self, *names: str) -> str:
        """Return the content of a file below the root. Read it only if it has changed since the last call.

        Raises:
            OSError: it cannot be read. `FileNotFoundError`, too, if a name would lead to another directory.
        """
        if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in names):
            raise FileNotFoundError(f"{names} names no file of the registry")
        path = "/".join((str(self._root), *names))
        known = self._texts.get(path)
        if known is not None and _stamp(opened_stat(path)) == known.stamp:
            return known.content
        with open_regular_file(path, _MAX_TEXT_BYTES, follows_link=True) as (stream, found):
            content = stream.read(found.st_size).decode()
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:
            self._texts[path] = _Text(_stamp(found), content)
        return content


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
