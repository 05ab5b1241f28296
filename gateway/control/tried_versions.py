"""Versions that can be served on this machine, for the companion. It loads none.

A version counts as one that can be served once it has passed its trial (`gateway.execution.trial`). The trial that a
replica has made counts; a version that was not tried yet is tried now. Nothing here waits.
"""

import time
from collections.abc import Callable, Collection

from registry_sync.background import Background, Pending, Start, at_once
from registry_sync.reference_reader import ReferenceReader
from registry_sync.version import Version, VersionKey, VersionState
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused, StillLoading
from runtimes.manifest import Manifest

_RETRY_AFTER_S, _LONGEST_RETRY_S = 30.0, 600.0
"""A trial takes one to two seconds of a core: fifty versions that fail would keep two cores busy."""


class TriedVersions:
    """See `gateway.control.version_loader.Versions`. `require` makes a trial, `has_passed` knows the result of one."""

    def __init__(
        self,
        reader: ReferenceReader,
        require: Callable[[VersionKey, Manifest], object],
        has_passed: Callable[[Manifest], bool],
        start: Start = at_once,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._require = require
        self._has_passed = has_passed
        self._trying = Background[tuple[VersionKey, Manifest], object](
            start, _RETRY_AFTER_S, clock=clock, lasting=ModelRefused, longest_s=_LONGEST_RETRY_S
        )
        self._clock = clock
        self._tried: dict[tuple[VersionKey, Manifest], float] = {}
        self._named: set[ArmRef] = set()

    def resolve(self, ref: ArmRef) -> tuple[VersionKey, Manifest]:
        """See `ReferenceReader.resolve`."""
        self._named.add(ref)
        return self._reader.resolve(ref)

    def load(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> Version:  # noqa: ARG002  # the Protocol's
        """Return the version without a runtime, once it has passed its trial.

        Raises:
            StillLoading: it is being tried.
            ModelRefused: it failed.
        """
        if not self._has_passed(manifest):
            self._tried[key, manifest] = self._clock()
            try:
                self._trying.ask((key, manifest), lambda: self._require(key, manifest))
            except Pending as pending:
                raise StillLoading(f"trying {key} {pending}") from None
            except ModelRefused:
                raise
            except Exception as error:  # any other fault concerns this version alone, too
                raise ModelRefused(f"{key} could not be tried: {error!r}.") from error
        return Version(key, manifest, VersionState.READY)

    def has_news(self) -> bool:
        """Return True if a trial has ended since the last call."""
        return self._trying.has_news()

    def forget_unasked(self, kept: Collection[ArmRef] = ()) -> None:
        """Forget what was not asked for since the last call, but for the references in `kept`.

        Trials are remembered longer: another arm may be looked at first, or the registry may be away for a moment.
        """
        before_s = self._clock() - _LONGEST_RETRY_S
        self._tried = {each: asked_s for each, asked_s in self._tried.items() if asked_s >= before_s}
        self._trying.retain(self._tried.__contains__)
        named, self._named = self._named, set()
        self._reader.retain(named.union(kept))
