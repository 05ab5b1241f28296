"""What the references of routes name, read from the registry in a thread of its own.

The threads that follow the store ask here and never wait for the registry. While the registry does not answer, a
reference names what it named last.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from registry_sync.background import Background, Pending, Start, at_once
from registry_sync.catalogue import Catalogue
from registry_sync.errors import BeingCopied, RegistryError, RegistryUnavailable
from registry_sync.version import VersionKey
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused, StillLoading
from runtimes.manifest import Manifest

_SOON_S = 0.25
_COPY_EVERY_S = 1.0
"""Reading the copy costs a call of stat(2) for each model. How often the registry is asked is another matter."""
_NO_ALIASES: Mapping[str, str] = MappingProxyType({})


class _Answer(NamedTuple):
    """What a reference names, or why that is not known.

    `trouble` is why the registry was not read the last time, and `asked_s` when it was asked. With `StillLoading` as
    its kind, the version is being copied to this machine.
    """

    named: tuple[VersionKey, Manifest] | None
    error: str
    kind: type[Exception]
    trouble: str
    aliases: Mapping[str, str]
    asked_s: float


class _Aliases(NamedTuple):
    """The aliases of a model, None if they could not be read, and when the registry was asked for them."""

    named: Mapping[str, str] | None
    asked_s: float


class ReferenceReader:
    """One per process. `start` says where a reference that is new is read; `run` reads all of them again and again."""

    def __init__(
        self, catalogue: Catalogue, start: Start = at_once, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._answers: dict[ArmRef, _Answer] = {}
        self._reading = Background[ArmRef, _Answer](start, 0.0)
        self._waited_for: set[ArmRef] = set()
        self._has_news = False
        self._changed: set[ArmRef] = set()
        self._asked_again_s: dict[str, float] = {}
        self._lock = threading.Lock()  # guards `_changed`

    def resolve(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """Return the version that a reference named when it was read last. Have it read if it is new.

        Raises:
            UnknownModel, ModelRefused, RegistryUnavailable: see `Catalogue.resolve`.
            StillLoading: it is being read for the first time.
        """
        answer = self._answers.get(ref)
        if answer is None:
            try:
                answer = self._answers[ref] = self._reading.ask(
                    ref, lambda: self._read(ref, self._read_aliases(ref.model))
                )
            except Pending as pending:
                self._waited_for.add(ref)
                raise StillLoading(f"looking up {ref} in the registry {pending}") from None
            if ref in self._waited_for:  # the caller need not be the one that waits for it
                self._waited_for.discard(ref)
                self._has_news = True
        if answer.named is None:
            raise answer.kind(answer.error)
        return answer.named

    def trouble(self, ref: ArmRef) -> str:
        """Return why the registry could not be read when this reference was read last, or an empty text."""
        answer = self._answers.get(ref)
        return "" if answer is None else answer.trouble

    @property
    def registry_trouble(self) -> str:
        """Why a remote registry as a whole was not read the last time, whatever routes name, or an empty text."""
        return self._catalogue.registry_trouble

    def aliases_of(self, ref: ArmRef, version: str) -> frozenset[str]:
        """Return the aliases of a version of the model that a reference names."""
        answer = self._answers.get(ref)
        aliases = _NO_ALIASES if answer is None else answer.aliases
        return frozenset(alias for alias, aliased in aliases.items() if aliased == version)

    def asked_s(self, ref: ArmRef) -> float:
        """Return when the registry was last asked what a reference names, by the clock; minus infinity if never."""
        answer = self._answers.get(ref)
        return float("-inf") if answer is None else answer.asked_s

    def ask_again(self, ref: ArmRef, since_s: float) -> None:
        """Have the registry asked once more if it was not asked since `since_s`, by the clock. This never waits."""
        if since_s > self._asked_again_s.get(ref.model, float("-inf")):
            self._asked_again_s[ref.model] = since_s
            self._catalogue.ask_again(ref.model, since_s)

    def has_news(self) -> bool:
        """Return True if a reference was read for the first time since the last call."""
        has_news, self._has_news = self._has_news, False
        return self._reading.has_news() or has_news

    def take_changed(self) -> frozenset[ArmRef]:
        """Return the references that were read again since the last call and name something else now."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return frozenset(changed)

    def retain(self, refs: Collection[ArmRef]) -> None:
        """Forget all other references."""
        wanted = set(refs)
        for ref in list(self._answers):  # a copy: other threads add to it
            if ref not in wanted:
                self._answers.pop(ref, None)
        self._waited_for &= wanted
        self._reading.retain(wanted.__contains__)

    def run(self, stop: threading.Event, every_s: float) -> None:
        """Read all references again every `every_s` seconds, until `stop` is set.

        A copy is read each second at least, since a webhook may have hurried it; what is being copied, more often.
        """
        is_copy = self._catalogue.copy is not None
        every_s = min(every_s, _COPY_EVERY_S) if is_copy else every_s
        pause_s = min(every_s, _SOON_S) if is_copy else every_s
        next_s = self._clock() + every_s
        while not stop.wait(pause_s):
            is_time = not is_copy or self._clock() >= next_s
            self.read_all(only_copied=not is_time)
            next_s = self._clock() + every_s if is_time else next_s

    def read_all(self, *, only_copied: bool = False) -> None:
        """Read all references again, or those that wait for a copy, and the aliases of each model once."""
        aliases: dict[str, _Aliases] = {}
        for ref, before in list(self._answers.items()):
            if only_copied and before.kind is not StillLoading:
                continue
            if ref.model not in aliases:
                aliases[ref.model] = self._read_aliases(ref.model)
            answer = self._read(ref, aliases[ref.model])
            if self._answers.get(ref) is before:
                self._answers[ref] = answer
                if answer._replace(asked_s=before.asked_s) != before:
                    with self._lock:
                        self._changed.add(ref)

    def _read_aliases(self, model: str) -> _Aliases:
        asked_s = min(self._clock(), self._catalogue.asked_s(model))
        try:
            return _Aliases(self._catalogue.aliases(model), asked_s)
        except Exception:  # noqa: BLE001  # an alias that nothing follows is no reason to fail
            return _Aliases(None, asked_s)

    def _read(self, ref: ArmRef, found: _Aliases) -> _Answer:
        before, asked_s = self._answers.get(ref), found.asked_s
        aliases = found.named
        if aliases is None:
            aliases = before.aliases if before is not None else _NO_ALIASES
        elif ref.alias is not None and ref.alias in aliases:
            ref = ArmRef(ref.model, version=aliases[ref.alias])
        try:
            named = self._catalogue.glance(ref)
            return _Answer(named, "", Exception, self._catalogue.trouble(ref.model, named[0].version), aliases, asked_s)
        except BeingCopied as error:
            kept = before.named if before is not None else None
            return _Answer(kept, str(error), StillLoading, str(error) if kept else "", aliases, asked_s)
        except RegistryUnavailable as error:
            kept = before.named if before is not None else None
            return _Answer(kept, str(error), RegistryUnavailable, str(error), aliases, asked_s)
        except (RegistryError, ModelRefused) as error:
            return _Answer(None, str(error), type(error), "", aliases, asked_s)
        except Exception as error:  # noqa: BLE001  # any fault that foreign bytes cause concerns this reference alone
            return _Answer(None, f"{ref} cannot be read: {error!r}.", ModelRefused, "", aliases, asked_s)
