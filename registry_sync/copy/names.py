"""What the registry said last of each model, one file each, and how the last look at the registry went.

One process writes them (`Book`), every process of the machine reads them (`Names`). Any name of a model is safe: the
file is named after its digest.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec

from registry_sync.copy import STATE
from registry_sync.copy.whole_file import HIDDEN, write_whole
from registry_sync.registries import Details

_NAMES = "names"
_LEGIBLE = 60

Kind = Literal["", "unknown", "refused", "unavailable"]


class KnownVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version. Once it is here as a whole, it has the text of its `manifest`.

    `trouble` is why the last try to copy it failed, `kind` which error that was, and `tried_s` when it began, in
    seconds since the epoch. `files` has the sha256 of its files; of a version that gets its manifest here, and is not
    whole yet, of those that are here.
    `is_gone` says that the registry has it no more. `seen` is the sha256 of the manifest that the last try found.
    `details_s` is when its details were read last because a command waited for them, in seconds since the epoch.
    """

    manifest: str = ""
    details: Details = Details({})
    trouble: str = ""
    kind: Kind = ""
    tried_s: float = 0.0
    files: dict[str, str] = {}
    seen: str = ""
    is_gone: bool = False
    details_s: float = 0.0


class KnownModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model. `aliases` is None until they were read. `is_gone` says that the registry does not have the model.

    `trouble` is why its aliases could not be read the last time, though the registry answered, or an empty text.
    """

    model: str
    aliases: dict[str, str] | None = None
    is_gone: bool = False
    versions: dict[str, KnownVersion] = {}
    trouble: str = ""


class State(msgspec.Struct, frozen=True):
    """How the last look went. All times are of the clock that runs since the machine's start.

    `asked_s` is when the last look began that was answered, and `models` are those for which it asked. `failed_s` is
    when the last one began that was not, and `trouble` why, or empty if the last look was answered. `written_s` shows
    that the companion runs.
    """

    asked_s: float = float("-1")
    failed_s: float = float("-1")
    trouble: str = ""
    written_s: float = 0.0
    models: frozenset[str] = frozenset()


_decode_model = msgspec.json.Decoder(KnownModel).decode
_decode_state = msgspec.json.Decoder(State).decode


class Names:
    """Reads the files of a copy, each only if it has changed. Any thread may use it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._models: dict[str, tuple[tuple[int, ...], KnownModel]] = {}
        self._state: tuple[tuple[int, ...], State] | None = None

    def state(self) -> State:
        """Return how the last look went. Before the first one since the machine's start, all times are long ago."""
        path = self._root / STATE
        stamp = _stamp(path)
        if stamp is None:
            return State()
        known = self._state
        if known is None or known[0] != stamp:
            try:
                known = self._state = stamp, _decode_state(path.read_bytes())
            except (OSError, msgspec.DecodeError):
                return State()
        found = known[1]
        return found if found.written_s <= time.monotonic() else State(models=found.models)  # of another start

    def model(self, model: str) -> KnownModel | None:
        """Return what is known of a model, or None."""
        path = self._root / _NAMES / file_of(model)
        stamp = _stamp(path)
        if stamp is None:
            return None
        known = self._models.get(model)
        if known is None or known[0] != stamp:
            try:
                known = self._models[model] = stamp, _decode_model(path.read_bytes())
            except (OSError, msgspec.DecodeError):  # of a version of the gateway that wrote something else
                return None
        return known[1]

    def models(self) -> Iterator[KnownModel]:
        """Read all models."""
        for path in (self._root / _NAMES).glob(f"[!{HIDDEN}]*"):
            with suppress(OSError, msgspec.DecodeError):
                yield _decode_model(path.read_bytes())


class Book:
    """What is known of all models, for the one process that writes it. Any thread may use it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for left in (root / _NAMES).glob(f"{HIDDEN}*"):
            left.unlink(missing_ok=True)
        self._models = {known.model: known for known in Names(root).models()}
        self._lock = threading.Lock()

    @property
    def models(self) -> Mapping[str, KnownModel]:
        """Every model."""
        return self._models.copy()

    def version(self, model: str, version: str) -> KnownVersion:
        """Return what is known of a version."""
        known = self._models.get(model)
        return KnownVersion() if known is None else known.versions.get(version, KnownVersion())

    def change(self, model: str, change: Callable[[KnownModel], KnownModel]) -> None:
        """Change what is known of a model, and write it if it differs.

        Raises:
            OSError: the disk does not allow it. Then nothing has changed.
        """
        with self._lock:
            before = self._models.get(model)
            after = change(before or KnownModel(model))
            if after != before:
                write_whole(self._root / _NAMES / file_of(model), msgspec.json.encode(after))
                self._models[model] = after

    def set_version(self, model: str, version: str, known: KnownVersion | None) -> None:
        """Change what is known of a version; None forgets it. Raises like `change`."""

        def change(before: KnownModel) -> KnownModel:
            versions = {name: each for name, each in before.versions.items() if name != version}
            return msgspec.structs.replace(before, versions=versions if known is None else {**versions, version: known})

        self.change(model, change)

    def forget(self, model: str) -> None:
        """Forget a model."""
        with self._lock:
            if self._models.pop(model, None) is not None:
                (self._root / _NAMES / file_of(model)).unlink(missing_ok=True)

    def write_state(self, state: State) -> None:
        """Say how the last look went.

        Raises:
            OSError: the disk does not allow it.
        """
        write_whole(self._root / STATE, msgspec.json.encode(state), is_lasting=False)


def file_of(model: str) -> str:
    """Return the name of a model's file. It begins with the model's name, for a person who looks."""
    content = model.encode("utf-8", "surrogatepass")
    return f"{quote(content, safe='')[:_LEGIBLE].lstrip(HIDDEN)}-{hashlib.sha256(content).hexdigest()[:32]}.json"


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
