"""Tries versions that are new on this machine in a process of their own, before a replica loads them.

A version may hang, crash, or take all memory while it is read and warmed up. In the trial it does so in a process that
has a limit of time and of memory, no network and an empty working directory (`gateway.execution.checking`). The trial
also finds out whether requests can be merged, and how much memory the version takes: a version that crashes or hangs on
unusual values is not merged.

The result is remembered in the home, by a digest of the manifest, which pins the artifact, of what the operator allows,
and of the versions of the packages that run models. So neither the other replicas nor a restart repeats the trial. What
was not used for 30 days is removed.
"""

import contextlib
import functools
import hashlib
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import structlog

from gateway.execution.checking.messages import RegistryVersion, ToCheck
from gateway.execution.checking.process import Checked, check_in_process
from gateway.execution.checking.records import Record, Records, Trying
from gateway.execution.checking.steps import NETWORK, Step
from gateway.execution.logged_checks import LoggedChecks
from gateway.execution.process.model import ProcessOptions
from registry_sync.version import Tried, VersionKey
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest
from runtimes.manifest_text import manifest_to_yaml
from runtimes.signers.setting import changeable

_log = structlog.get_logger()

FOLDER = "tried"
"""The name of the folder in a home."""

_NICE = 10
_COSTLY_S = 5.0
_FAILED_FOR_S = 600.0
"""A version that crashed, or failed after more than `_COSTLY_S`, is tried again after this time, or when an operator
asks."""

_PACKAGES = (
    "numpy",
    "onnxruntime",
    "scikit-learn",
    "skops",
    "lightgbm",
    "xgboost",
    "catboost",
    "mlflow-skinny",
    "mlflow",
)
_FORM = 5
"""Results of trials that found out less have another number, and do not count."""


class Trials:
    """The trials of one home. Several threads and processes may use it; a version is tried by one of them at a time.

    `logged` has what came of requests of the log `log` that versions were asked again.
    """

    def __init__(self, home: Path, options: ProcessOptions, log: str = "") -> None:
        self.logged = LoggedChecks(home, log, options)
        self._records = Records(home / FOLDER)
        self._options = options
        self._signer = changeable(options.load.signature)
        self._said = False

    def require(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> Tried:
        """Return what the trial of the version has found out; try it if it was not tried yet. This takes long.

        With `retry`, a version that failed is tried again.

        Raises:
            ModelRefused: it failed. The sentence says why.
            RegistryError: its files cannot be fetched.
        """
        name = self._name(manifest)
        known = self._records.read(name)
        if known is not None and known.tried is not None:
            self._records.note_use(name)
            return known.tried
        with self._locked(name):
            record = self._records.read(name)
            if record is not None and record.tried is not None:
                return record.tried  # another process has tried it meanwhile
            is_own = record is not None and record.key[:2] == key[:2]  # another folder has other files
            if record is not None and is_own and not retry and _still_counts(record):
                raise ModelRefused(record.failure)
            return self._try(key, manifest, name)

    def has_passed(self, manifest: Manifest) -> bool:
        """Return True if the version has passed its trial on this machine."""
        record = self._records.read(self._name(manifest))
        return record is not None and record.tried is not None

    def record(self, key: VersionKey, manifest: Manifest) -> Record | None:
        """Return the last trial of a version on this machine, with its steps.

        Versions with the same manifest share a trial that has passed. One that has failed is of its version alone.
        """
        record = self._records.read(self._name(manifest))
        return record if record is not None and (record.tried is not None or record.key == key) else None

    def records(self) -> list[Record]:
        """Return the trials of all versions that this machine has tried."""
        return self._records.all()

    def trying(self) -> list[Trying]:
        """Return the versions that this machine is trying now."""
        return self._records.trying()

    def _try(self, key: VersionKey, manifest: Manifest, name: str) -> Tried:
        began_s = time.time()
        try:
            checked = self._check(key, manifest, lambda step: self._records.note_step(name, Trying(key, step, began_s)))
        finally:
            self._records.end_steps(name)
        took_s = round(max(time.time() - began_s, 0.0), 3)
        tried, failure = checked.tried, checked.failure
        self._note(checked.detail_of(NETWORK))
        if tried is None:
            _log.warning("gateway.trial.failed", version=str(key), took_s=took_s, reason=failure)
        else:
            _log.info("gateway.trial.passed", version=str(key), took_s=took_s, **tried._asdict())
        record = Record(key=key, at_s=time.time(), took_s=took_s, steps=checked.steps, failure=failure, tried=tried)
        self._records.write(name, record)
        if tried is None:
            raise ModelRefused(failure)
        return tried

    def _check(self, key: VersionKey, manifest: Manifest, on_step: Callable[[str], None]) -> Checked:
        """Have the version checked in a process."""
        what = RegistryVersion(self._options.registry, key.model, key.version)
        try:
            checked = check_in_process(ToCheck(what, self._options.load), on_step, _NICE)
        except OSError as error:
            return Checked((Step("start", "failed", f"No process can be started to try it: {error}.", 0.0),))
        if checked.result is not None and checked.result.manifest != manifest_to_yaml(manifest):
            changed = f"The registry holds another artifact as {key} than the one that is wanted."
            return Checked((*checked.steps, Step("end", "failed", changed, 0.0)))
        return checked

    def _note(self, network: str) -> None:
        """Say once that this machine does not let a process leave its network."""
        if network and not self._said:
            self._said = True
            _log.warning("gateway.trial.has_network", reason=network)

    def _name(self, manifest: Manifest) -> str:
        """Return the name of a result. With other options, another key or other packages a version is tried anew."""
        tried = msgspec.json.encode((_FORM, manifest, self._options.load, _packages(), self._signer))
        return hashlib.sha256(tried).hexdigest()

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._records.locked(name))
            except OSError as error:
                raise ModelRefused(f"It cannot be tried: {error}.") from error
            yield


def _still_counts(record: Record) -> bool:
    """Return True if a version that failed is not tried again yet, since that costs too much."""
    costs = record.took_s > _COSTLY_S or record.failure.startswith("Its process ended")
    return costs and 0 <= time.time() - record.at_s < _FAILED_FOR_S


@functools.cache
def _packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that run models. Those that are missing are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
