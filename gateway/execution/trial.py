"""Tries versions that are new on this machine in a process of their own, before a replica loads them.

A version may hang, crash, or take all memory while it is read and warmed up. In the trial it does so in a process that
has a limit of time and of memory, no network and an empty working directory. The trial also finds out whether requests
can be merged, and how much memory the version takes: a version that crashes or hangs on unusual values is not merged.

The result is remembered in the home, by a digest of the manifest, which pins the artifact, of what the operator allows,
and of the versions of the packages that run models. So neither the other replicas nor a restart repeats the trial. What
was not used for 30 days is removed.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import platform
import threading
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import structlog

from gateway.execution.latency import measured_times
from gateway.execution.process.child import ChildProcess
from gateway.execution.process.frames import MeasureMemory, MemoryMeasured, RowsTried, TryRows
from gateway.execution.process.model import BlockingModel, ProcessOptions, ask, await_loaded, start_model
from registry_sync.version import Tried, VersionKey
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest
from runtimes.python.folder import temporary_folder

_log = structlog.get_logger()

FOLDER = "tried"
"""The name of the folder in a home."""

_NICE = 10
_COSTLY_S = 5.0
_FAILED_FOR_S = 600.0
"""A version that crashed, or failed after more than `_COSTLY_S`, is tried again after this time, or when an operator
asks."""


_ROWS_WITHIN_S = 60.0
"""For the trial of `runtimes.row_by_row`, which takes ten seconds at most where a run can be broken off."""
_UNUSED_FOR_S = 30 * 86400.0
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
_FORM = 3
"""Results of trials that found out less have another number, and do not count."""


class _Result(msgspec.Struct, frozen=True):
    """Why the trial failed, or an empty text, when, in seconds since the epoch, and what it found out."""

    failure: str
    at_s: float
    version: str
    tried: Tried | None = None


class Trials:
    """The trials of one home. Several threads and processes may use it; a version is tried by one of them at a time."""

    def __init__(self, home: Path, options: ProcessOptions) -> None:
        self._folder = home / FOLDER
        self._options = options
        self._said = False
        _remove_unused(self._folder)

    def require(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> Tried:
        """Return what the trial of the version has found out; try it if it was not tried yet. This takes long.

        With `retry`, a version that failed is tried again.

        Raises:
            ModelRefused: it failed. The sentence says why.
        """
        file = self._file(manifest)
        known = _read(file)
        if known is not None and known.tried is not None:
            with contextlib.suppress(OSError):
                os.utime(file)  # it is in use: see `_remove_unused`
            return known.tried
        with self._locked(manifest) as file:
            result = _read(file)
            if result is not None and result.tried is not None:
                return result.tried  # another process has tried it meanwhile
            is_own = result is not None and result.version == str(key)  # another folder has other files
            if result is not None and is_own and not retry and 0 <= time.time() - result.at_s < _FAILED_FOR_S:
                raise ModelRefused(result.failure)
            return self._try(key, manifest, file)

    def has_passed(self, manifest: Manifest) -> bool:
        """Return True if the version has passed its trial on this machine."""
        result = _read(self._file(manifest))
        return result is not None and result.tried is not None

    def _try(self, key: VersionKey, manifest: Manifest, file: Path) -> Tried:
        began_s = time.monotonic()
        with temporary_folder() as folder:
            found = self._run(key, manifest, str(folder))
        tried, failure = (None, found) if isinstance(found, str) else (found, "")
        took_s = round(time.monotonic() - began_s, 3)
        if tried is None:
            _log.warning("gateway.trial.failed", version=str(key), took_s=took_s, reason=failure)
        else:
            _log.info("gateway.trial.passed", version=str(key), took_s=took_s, **tried._asdict())
        if not failure or took_s > _COSTLY_S or failure.startswith("Its process ended"):
            with contextlib.suppress(OSError):  # the next process tries it again
                fresh = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
                fresh.write_bytes(msgspec.json.encode(_Result(failure, time.time(), str(key), tried)))
                fresh.replace(file)
        if tried is None:
            raise ModelRefused(failure)
        return tried

    def _run(self, key: VersionKey, manifest: Manifest, folder: str) -> Tried | str:
        """Load and run the version in a process. Return what it has found out, or why it failed."""
        within_s = self._options.load.within_s
        try:
            child = start_model(key, self._options, _NICE, trial_folder=folder)
        except OSError as error:
            return f"No process can be started to try it: {error}."
        timer = threading.Timer(within_s, child.kill)
        timer.daemon = True
        timer.start()
        began_s = time.monotonic()
        try:
            loaded = await_loaded(child, 2 * within_s)  # the timer ends it before
            self._note(loaded.network)
            measured_times(BlockingModel(child, manifest.signature), manifest.max_batch)
            memory = ask(child, MeasureMemory())
            assert isinstance(memory, MemoryMeasured)  # noqa: S101  # for the type checker
            return Tried(self._why_unbatched(child), memory.model_bytes, memory.process_bytes)
        except (ModelRefused, ModelFailed) as error:
            if time.monotonic() - began_s >= within_s:
                return f"It was not loaded and warmed up within {within_s:g} s (POINTSMAN_LOAD_WITHIN_S)."
            return str(error).removeprefix(f"{key}: ")
        finally:
            timer.cancel()
            child.kill()
            child.wait()
            child.close()

    def _why_unbatched(self, child: ChildProcess) -> str:
        child.connection.settimeout(_ROWS_WITHIN_S)
        try:
            answer = ask(child, TryRows())
        except ModelRefused as error:
            return f"it could not be tried with rows together: {error}"
        assert isinstance(answer, RowsTried)  # noqa: S101  # for the type checker
        return answer.unbatched_because

    def _note(self, network: str) -> None:
        """Say once that this machine does not let a process leave its network."""
        if network and not self._said:
            self._said = True
            _log.warning("gateway.trial.has_network", reason=network)

    def _file(self, manifest: Manifest) -> Path:
        """Return the file of a result. With other options or other packages a version is tried anew."""
        tried = msgspec.json.encode((_FORM, manifest, self._options.load, _packages()))
        return self._folder / hashlib.sha256(tried).hexdigest()

    @contextlib.contextmanager
    def _locked(self, manifest: Manifest) -> Iterator[Path]:
        """Return the file of a version's result, while no other thread or process tries the version.

        Raises:
            ModelRefused: the disk does not allow it.
        """
        file = self._file(manifest)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ModelRefused(f"It cannot be tried: {error}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(descriptor)


@functools.cache
def _packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that run models. Those that are missing are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _remove_unused(folder: Path) -> None:
    """Remove the results, and their locks, of versions that were not loaded here for long."""
    before_s = time.time() - _UNUSED_FOR_S
    for file in folder.glob("*"):
        with contextlib.suppress(OSError):  # another process has removed it, or it is none of ours
            if file.stat().st_mtime < before_s:
                file.unlink()


def _read(file: Path) -> _Result | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Result)
    except (OSError, msgspec.DecodeError):
        return None
