"""The registry as this machine's copy of it. It reads the disk alone: no network, no credentials.

What is not there yet is asked for with a small file (`registry_sync.copy.wanted`), which the companion follows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from registry_sync.copy.blobs import Blobs
from registry_sync.copy.names import KnownModel, KnownVersion, Names
from registry_sync.copy.wanted import Want, Wants
from registry_sync.errors import BeingCopied, RegistryUnavailable, UnknownModel, Unreadable
from registry_sync.registries import Details
from registry_sync.registries.texts import read_manifest
from runtimes.errors import ModelRefused
from runtimes.manifest import Files, Manifest

_POLL_S = 0.03
_SILENT_S = 60.0
"""A companion that has not written for this long is not running. It has a low priority, so it may be late."""

Found = TypeVar("Found")


class LocalCopy:
    """See `registry_sync.registries.Registry`. Any thread may use it.

    What is not there, and aliases as of now, are waited for for `within_s` seconds. `glance` does not wait: its aliases
    are those that the companion read last.
    """

    def __init__(self, root: Path, within_s: float = 0.0) -> None:
        self._root = root
        self._within_s = within_s
        self._names = Names(root)
        self._wants = Wants(root)
        self._blobs = Blobs(root / "blobs")

    def glance(self) -> "LocalCopy":
        """Return the copy for threads that must not wait."""
        return LocalCopy(self._root)

    def models(self) -> Sequence[str]:
        """See `Registry.models`: those that this machine knows."""
        return sorted(known.model for known in self._names.models() if not known.is_gone)

    def versions(self, model: str) -> Sequence[str]:
        """See `Registry.versions`: those that this machine has."""
        known = self._names.model(model)
        if known is None:
            raise UnknownModel(f"This machine's copy of the registry has no model {model!r}.")
        here = (version for version, each in known.versions.items() if each.manifest)
        return sorted(here, key=lambda version: (len(version), version))

    def refused(self) -> Mapping[tuple[str, str], str]:
        """Return why the versions that are not here could not be copied or made ready, by model and version."""
        return {
            (known.model, version): each.trouble
            for known in self._names.models()
            for version, each in known.versions.items()
            if each.kind == "refused" and not each.manifest and not each.is_gone
        }

    def aliases(self, model: str) -> Mapping[str, str]:
        """See `Registry.aliases`."""
        asked_s = time.monotonic() if self._within_s else -1.0

        def find() -> Mapping[str, str] | None:
            state = self._names.state()
            if model not in state.models or state.asked_s < asked_s:
                if 0.0 <= asked_s < state.failed_s:
                    raise RegistryUnavailable(state.trouble)
                return None  # the aliases that are here may be those of long ago
            known = self._names.model(model)
            if known is not None and known.is_gone:
                raise UnknownModel(f"The registry has no model {model!r}.")
            if known is not None and known.trouble and (known.aliases is None or asked_s >= 0.0):
                raise Unreadable(known.trouble)
            return None if known is None else known.aliases

        return self._await(find, Want(model, since_s=max(asked_s, 0.0)), f"The aliases of {model} are")

    def manifest(self, model: str, version: str) -> Manifest:
        """See `Registry.manifest`."""
        return read_manifest(self._version(model, version).manifest)

    def fetch(self, model: str, version: str, manifest: Manifest) -> Files:
        """See `Registry.fetch`."""
        files: dict[str, bytes] = {}

        def find() -> Files | None:
            for file, sha256 in manifest.pinned.items():
                if file not in files:
                    content = self._blobs.read(sha256)
                    if content is None:
                        return None
                    files[file] = content
            return files

        return self._await(find, Want(model, version), f"{model}:{version} is")

    def details(self, model: str, version: str) -> Details:
        """See `Registry.details`."""
        return self._version(model, version).details

    def fresh_details(self, model: str, version: str) -> Details:
        """Return the details as of now. Raise as `Registry.details`."""
        asked_s, since_s = time.monotonic(), time.time()

        def find() -> Details | None:
            model_known = self._names.model(model) or KnownModel(model)
            known = model_known.versions.get(version)
            if known is not None and known.details_s >= since_s:
                return known.details
            state = self._names.state()
            if state.failed_s > asked_s:
                raise RegistryUnavailable(state.trouble)
            return None

        want = Want(model, version, since_s, is_details=True)
        return self._await(find, want, f"The tags of {model}:{version} are")

    def asked_s(self, model: str) -> float:
        """Return when the registry itself was asked for the aliases of a model last, by the monotonic clock."""
        state = self._names.state()
        return state.asked_s if model in state.models else float("-inf")

    def ask_again(self, model: str, since_s: float) -> None:
        """Have the companion ask for the aliases of a model, unless it did since `since_s` (monotonic). Do not wait."""
        with suppress(RegistryUnavailable):  # the companion asks now and then in any case
            self._wants.leave(Want(model, since_s=since_s))

    def trouble(self, model: str, version: str = "") -> str:
        """Return why what is known of a model, or of a version, may be old, or an empty text."""
        state, known = self._names.state(), self._names.model(model)
        if state.trouble:
            return state.trouble
        if time.monotonic() - state.written_s > _SILENT_S:
            return "The registry is not being read: the companion of this machine does not run."
        if known is None:
            return ""
        if known.is_gone:
            return f"The registry has no model {model!r} any more; its copy is served."
        if known.trouble:
            return known.trouble
        there = known.versions.get(version)
        if there is not None and there.is_gone:
            return f"The registry has no version {model}:{version} any more; its copy is served."
        return ""

    def _version(self, model: str, version: str) -> KnownVersion:
        since_s = time.time() if self._within_s else 0.0

        def find() -> KnownVersion | None:
            model_known = self._names.model(model) or KnownModel(model)
            known = model_known.versions.get(version)
            if known is None or (not known.manifest and (not known.trouble or known.tried_s < since_s)):
                return None  # or its manifest is being made
            if not known.manifest:
                self._wants.leave(Want(model, version))  # the next try, if no document names it
                raise _error_of(known, f"{model}:{version}")
            return known

        return self._await(find, Want(model, version, since_s), f"{model}:{version} is")

    def _await(self, find: Callable[[], Found | None], want: Want, subject: str) -> Found:
        """Return what `find` finds. Have the companion fetch it if it is not there, and wait for it.

        Raises:
            BeingCopied: it is not there within the time.
        """
        found, until_s = find(), time.monotonic() + self._within_s
        if found is None:
            try:
                self._wants.leave(want)
            except UnicodeEncodeError:
                raise UnknownModel(f"The registry has no model {want.model!r}.") from None
        while found is None:
            if time.monotonic() > until_s:
                trouble = self._names.state().trouble or self.trouble(want.model)
                why = f"yet: {trouble}" if trouble else "yet. The companion is fetching it; try again."
                raise BeingCopied(f"{subject} not in this machine's copy of the registry {why}")
            time.sleep(_POLL_S)
            found = find()
        return found


def _error_of(known: KnownVersion, name: str) -> Exception:
    kinds, trouble = {"unknown": UnknownModel, "refused": ModelRefused}, known.trouble
    return kinds.get(known.kind, RegistryUnavailable)(trouble if name in trouble else f"{name}: {trouble}")
