"""Reads what `/api/models` shows of each version: its state, the steps of its trial, and where it comes from."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from gateway.api.operators.version_responses import HeldVersion, StepStatus, TryingStatus
from gateway.control.replica_view import ReplicaView
from gateway.execution.checking.records import Record, Trying
from gateway.execution.checking.steps import Step
from gateway.execution.trial import Trials
from gateway.inference.live_table import BATCHED
from registry_sync.background import Background, Pending, Start, in_daemon_thread
from registry_sync.catalogue import Catalogue
from registry_sync.registries import Details
from registry_sync.registries.details import details_of
from registry_sync.version import Tried, VersionKey, VersionState
from runtimes.manifest import Manifest

_DETAILS_WITHIN_S = 1.0
"""A registry may hang. Meanwhile the details are those that it told before."""

_LOADING, _TRIED = "LOADING", "TRIED"
_READY, _QUARANTINED = VersionState.READY.value, VersionState.QUARANTINED.value
_COPY = "copy"
"""The step before all others: the files are here, are what the registry says, and have a manifest."""
_NO_DETAILS = Details()


class _Version(NamedTuple):
    """What is known of a version. `state` is one of `HeldVersion`'s.

    `tried` is what this process knows of its trial. `record` is its last trial on this machine, `trying` the one that
    is under way. `logged` are the steps in which it was asked logged requests.
    """

    state: str
    reason: str = ""
    manifest: Manifest | None = None
    tried: Tried | None = None
    record: Record | None = None
    trying: Trying | None = None
    logged: Sequence[Step] = ()
    serves: bool = False


class VersionReader:
    """The reader of one replica, used by many threads. `start` says where the registry is asked for details."""

    def __init__(
        self, catalogue: Catalogue, trials: Trials, view: ReplicaView, start: Start = in_daemon_thread
    ) -> None:
        self._catalogue = catalogue
        self._trials = trials
        self._view = view
        self._reading = Background[str, Mapping[VersionKey, Details]](start, 0.0)
        self._details: Mapping[VersionKey, Details] = {}

    def read(self, now_s: float) -> list[HeldVersion]:
        """Return every version that this replica holds or waits for, or that this machine has tried, by name."""
        versions = self._versions()
        details = self._read_details(versions)
        return [_shown(key, versions[key], details.get(key), now_s) for key in sorted(versions)]

    def _versions(self) -> dict[VersionKey, _Version]:
        """Return what is known of each version. What this process knows goes before what its machine has tried."""
        records, trying = self._trials.records(), {each.key: each for each in self._trials.trying()}
        logged = self._trials.logged.steps()
        serving = self._view.report().versions
        known = {key: _Version(_LOADING) for key in trying}
        known |= {key: _Version(_LOADING, why, manifest) for key, (manifest, why) in self._catalogue.loading().items()}
        # The catalogue does not have those that run in processes of their own.
        known |= {key: _Version(_READY, manifest=each) for key, each in self._view.answering().items()}
        known |= {
            each.key: _Version(each.state.value, each.reason, each.manifest, each.tried)
            for each in self._catalogue.versions()
        }
        known |= {
            each.key: _Version(_QUARANTINED if each.failure else _TRIED, each.failure, record=each)
            for each in _newest(records, {key[:2] for key in known})
        }
        known |= self._refused({key[:2] for key in known})
        return {
            key: version._replace(
                record=version.record or self._record(key, version.manifest),
                trying=trying.get(key),
                logged=logged.get(key, version.logged),
                serves=version.state == _READY and str(key) in serving,
            )
            for key, version in known.items()
        }

    def _refused(self, without: Collection[tuple[str, str]]) -> dict[VersionKey, _Version]:
        """Return the other versions that this machine could not copy, or for which no manifest could be made."""
        refused = {} if self._catalogue.copy is None else self._catalogue.copy.refused()
        return {
            VersionKey(*name, ""): _Version(_QUARANTINED, why, logged=(Step(_COPY, "failed", why, 0.0),))
            for name, why in refused.items()
            if name not in without
        }

    def _record(self, key: VersionKey, manifest: Manifest | None) -> Record | None:
        return None if manifest is None else self._trials.record(key, manifest)

    def _read_details(self, keys: Collection[VersionKey]) -> Mapping[VersionKey, Details]:
        """Ask the registry for all versions at once, and do not wait longer than a second."""
        with suppress(Pending, RuntimeError):  # it hangs, or no thread can be started
            self._details = self._reading.wait("details", partial(self._ask, tuple(keys)), _DETAILS_WITHIN_S)
        return self._details

    def _ask(self, keys: Collection[VersionKey]) -> Mapping[VersionKey, Details]:
        found = {}
        for key in keys:
            try:
                found[key] = self._catalogue.details(key.model, key.version)
            except Exception:  # noqa: BLE001  # of a version that cannot be read nothing else is known
                found[key] = _NO_DETAILS
        return found


def _newest(records: Iterable[Record], without: Collection[tuple[str, str]]) -> Collection[Record]:
    """Return the last trial of each of the other versions. Those with other settings, or other packages, are older."""
    newest = {each.key[:2]: each for each in sorted(records, key=lambda each: each.at_s)}
    return [record for name, record in newest.items() if name not in without]


def _shown(key: VersionKey, version: _Version, details: Details | None, now_s: float) -> HeldVersion:
    manifest, record, trying = version.manifest, version.record, version.trying
    tried = version.tried or (None if record is None else record.tried)
    own = _NO_DETAILS if manifest is None else details_of(manifest)
    details = details or _NO_DETAILS
    return HeldVersion(
        model=key.model,
        version=key.version,
        digest=key.digest,
        state=version.state,
        serves=version.serves,
        reason=version.reason,
        trying=None if trying is None else TryingStatus(step=trying.step, seconds=max(now_s - trying.began_s, 0.0)),
        tried_at_s=None if record is None else record.at_s,
        steps=[
            StepStatus(step=each.step, state=each.state, detail=each.detail, seconds=each.took_s)
            for each in (*(() if record is None else record.steps), *version.logged)
        ],
        run_id=details.run_id or own.run_id,
        data_set=details.data_set or own.data_set,
        registered_by=details.registered_by,
        tags={**own.tags, **details.tags},
        packages=[] if manifest is None else [*manifest.made_with, *manifest.packages],
        batching="" if tried is None else tried.unbatched_because or BATCHED,
        memory_bytes=0 if tried is None else tried.memory_bytes,
    )
