"""Copies one version: manifest, details and files; a version without a manifest gets one here."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from msgspec import structs

from registry_sync.copy.blobs import Blobs
from registry_sync.copy.due import VersionName, is_whole
from registry_sync.copy.names import Book, Kind, KnownVersion
from registry_sync.copy.notes import Notes
from registry_sync.copy.steps import Hook, no_hook
from registry_sync.errors import NoManifest, RegistryError, RegistryUnavailable, UnknownModel
from registry_sync.registries import Details, RemoteRegistry
from registry_sync.registries.texts import read_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import MANIFEST, Manifest, is_below
from runtimes.manifest_text import manifest_to_yaml

Adopt = Callable[[str, str, Mapping[str, Path]], tuple[Manifest, Mapping[str, bytes]]]
"""Makes the manifest of a version out of its files, and files of its own that the manifest pins, such as golden
requests. Raises ModelRefused."""

_MOST_FILES = 10_000
_MOST_FILE_BYTES = 4 * 1024**3


def no_adoption(model: str, version: str, files: Mapping[str, Path]) -> tuple[Manifest, Mapping[str, bytes]]:  # noqa: ARG001  # the type's
    """Refuse a version without a manifest."""
    raise ModelRefused(f"{model}:{version} has no {MANIFEST}.")


class Copier:
    """Any thread may use it, each for another version.

    `make_room` is called with the version, the sha256 of its files as far as they are known, to which more are added,
    and the bytes that are still to be fetched. It raises if there is no room for them.
    """

    def __init__(
        self,
        registry: RemoteRegistry,
        blobs: Blobs,
        book: Book,
        make_room: Callable[[VersionName, Collection[str], int], None],
        adopt: Adopt = no_adoption,
        hook: Hook = no_hook,
    ) -> None:
        self._registry = registry
        self._blobs = blobs
        self._book = book
        self._make_room = make_room
        self._adopt = adopt
        self._hook = hook

    def copy(self, model: str, version: str, *, is_asked: bool) -> str | None:
        """Copy a version. Return an empty text, or why that failed; then this is noted, too.

        Unless `is_asked`, the version is copied only if its manifest is another one than at the last try. If it is the
        same, return None.
        """
        before, began_s, seen = self._book.version(model, version), time.time(), ""
        kind: Kind = "unavailable"
        try:
            manifest = self._manifest(model, version)
            text = "" if manifest is None else manifest_to_yaml(manifest)
            seen = sha256(text.encode()).hexdigest()
            if not is_asked and (manifest is None or seen == before.seen):
                return None
            known = self._with_manifest(model, version, manifest) if manifest else self._adopted(model, version, before)
            read_manifest(known.manifest)  # one that was made here may be too long
            self._book.set_version(model, version, structs.replace(known, seen=seen, tried_s=began_s))
        except UnknownModel as error:
            trouble, kind = str(error), "unknown"
        except ModelRefused as error:
            trouble, kind = str(error), "refused"
        except RegistryError as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001  # any fault that foreign bytes cause concerns this version alone
            trouble = f"{model}:{version} cannot be copied: {error!r}."
        else:
            self._hook("version noted")
            return ""
        self._note_failure(model, version, KnownVersion(trouble=trouble, kind=kind, tried_s=began_s, seen=seen))
        return trouble

    def _note_failure(self, model: str, version: str, failed: KnownVersion) -> None:
        """Note why a version is not here; one that is here as a whole stays."""
        now = self._book.version(model, version)
        if not is_whole(now, self._blobs.present()):
            failed = structs.replace(failed, details=now.details, files=now.files, is_gone=now.is_gone)
            with suppress(OSError):  # a full disk: the sentence is in the companion's log
                self._book.set_version(model, version, failed)
        self._hook("failure noted")

    def _manifest(self, model: str, version: str) -> Manifest | None:
        try:
            manifest = self._registry.manifest(model, version)
        except NoManifest:
            manifest = None
        self._hook("manifest read")
        return manifest

    def _with_manifest(self, model: str, version: str, manifest: Manifest) -> KnownVersion:
        """Fetch the files that the manifest pins and that are not here."""
        details = _plain(self._registry.details(model, version))
        sizes = self._registry.files(model, version)
        self._hook("listed")
        here = self._blobs.present()
        lacking = {file: digest for file, digest in manifest.pinned.items() if digest not in here}
        for file in lacking:
            if file not in sizes:
                raise ModelRefused(f"{model}/{version}/{file}, which {MANIFEST} pins, is missing in the registry.")
        self._make_room((model, version), manifest.pinned.values(), sum(sizes[file] for file in lacking))
        for file, digest in lacking.items():
            self._blobs.add(f"{model}/{version}/{file}", self._registry.read(model, version, file), sizes[file], digest)
        return KnownVersion(manifest=manifest_to_yaml(manifest), details=details, files=manifest.pinned)

    def _adopted(self, model: str, version: str, before: KnownVersion) -> KnownVersion:
        """Fetch all files, and have the manifest made out of them. Files that are here already are not read again."""
        details = _plain(self._registry.details(model, version))
        sizes = {file: size for file, size in self._registry.files(model, version).items() if is_below(file)}
        self._hook("listed")
        if len(sizes) > _MOST_FILES:
            raise ModelRefused(f"{model}:{version} has {len(sizes)} files; the most are {_MOST_FILES}.")
        here = self._blobs.present()
        is_same = before.details.source == details.source and before.details.run_id == details.run_id
        files = {
            file: digest
            for file, digest in (before.files if is_same else {}).items()
            if file in sizes and digest in here and here[digest].size == sizes[file]
        }
        lacking = [file for file in sizes if file not in files]
        for file in lacking:
            if sizes[file] > _MOST_FILE_BYTES:
                raise ModelRefused(f"{model}/{version}/{file} is larger than {_MOST_FILE_BYTES} bytes.")
        kept = list(files.values())
        self._make_room((model, version), kept, sum(sizes[file] for file in lacking))

        def write(now: dict[str, str]) -> None:
            self._book.set_version(model, version, structs.replace(before, details=details, files=now))

        with Notes(files, write) as notes:
            for file in lacking:
                name = f"{model}/{version}/{file}"
                digest = self._blobs.add(name, self._registry.read(model, version, file), sizes[file])
                kept.append(digest)
                if notes.take(file, digest, sizes[file]):
                    self._hook(f"noted {name}")
        files = notes.files
        manifest, made = self._adopt(model, version, {file: self._blobs.path(files[file]) for file in files})
        self._hook("adopted")
        for file, content in made.items():
            files[file] = self._blobs.add(f"{model}/{version}/{file}", [content], len(content))
        if any(files.get(file) != digest for file, digest in manifest.pinned.items()):
            raise RegistryUnavailable(f"The files of {model}:{version} were changed while they were being read.")
        return KnownVersion(manifest=manifest_to_yaml(manifest), details=details, files=manifest.pinned)


def _plain(details: Details) -> Details:
    """Return details that can be written as JSON."""
    return details._replace(tags=dict(details.tags))
