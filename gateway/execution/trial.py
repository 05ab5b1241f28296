"""Tries versions that are new on this machine in a process of their own, before a replica loads them.

A version may hang, crash, or take all memory while it is read and warmed up. In the trial it does so in a process that
has a limit of time and of memory. The result is remembered in the home by the digest of the manifest, which pins the
artifact. So neither the other replicas nor a restart repeats the trial.
"""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from gateway.execution.latency import measured_times
from gateway.execution.process.model import BlockingModel, ProcessOptions, await_loaded, start_model
from registry_sync.catalogue import VersionKey
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import Manifest

_log = structlog.get_logger()

FOLDER = "tried"
"""The name of the folder in a home."""

_NICE = 10
_COSTLY_S = 5.0
_FAILED_FOR_S = 600.0
"""A version that crashed, or failed after more than `_COSTLY_S`, is tried again after this time, or when an operator
asks."""


class _Result(msgspec.Struct, frozen=True):
    """Why the trial failed, or an empty text, and when, in seconds since the epoch."""

    failure: str
    at_s: float
    version: str


class Trials:
    """The trials of one home. Several threads and processes may use it; a version is tried by one of them at a time."""

    def __init__(self, home: Path, options: ProcessOptions) -> None:
        self._folder = home / FOLDER
        self._options = options

    def require(self, key: VersionKey, manifest: Manifest, retry: bool = False) -> None:
        """Return if the version has passed its trial; try it if it was not tried yet. This takes long.

        With `retry`, a version that failed is tried again.

        Raises:
            ModelRefused: it failed. The sentence says why.
        """
        if self.has_passed(manifest):
            return
        with self._locked(manifest) as file:
            result = _read(file)
            if result is not None and not result.failure:
                return  # another process has tried it meanwhile
            if result is not None and not retry and 0 <= time.time() - result.at_s < _FAILED_FOR_S:
                raise ModelRefused(result.failure)
            self._try(key, manifest, file)

    def has_passed(self, manifest: Manifest) -> bool:
        """Return True if the version has passed its trial on this machine."""
        result = _read(self._file(manifest))
        return result is not None and not result.failure

    def _try(self, key: VersionKey, manifest: Manifest, file: Path) -> None:
        began_s = time.monotonic()
        failure = self._failure(key, manifest)
        took_s = round(time.monotonic() - began_s, 3)
        if failure:
            _log.warning("gateway.trial.failed", version=str(key), took_s=took_s, reason=failure)
        else:
            _log.info("gateway.trial.passed", version=str(key), took_s=took_s)
        if not failure or took_s > _COSTLY_S or failure.startswith("Its process ended"):
            with contextlib.suppress(OSError):  # the next process tries it again
                fresh = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
                fresh.write_bytes(msgspec.json.encode(_Result(failure, time.time(), str(key))))
                fresh.replace(file)
        if failure:
            raise ModelRefused(failure)

    def _failure(self, key: VersionKey, manifest: Manifest) -> str:
        """Load and run the version in a process. Return why it failed, or an empty text."""
        within_s = self._options.load.within_s
        try:
            child = start_model(key, self._options, _NICE)
        except OSError as error:
            return f"No process can be started to try it: {error}."
        timer = threading.Timer(within_s, child.kill)
        timer.daemon = True
        timer.start()
        began_s = time.monotonic()
        try:
            await_loaded(child, 2 * within_s)  # the timer ends it before
            measured_times(BlockingModel(child, manifest.signature))
        except (ModelRefused, ModelFailed) as error:
            if time.monotonic() - began_s >= within_s:
                return f"It was not loaded and warmed up within {within_s:g} s (POINTSMAN_LOAD_WITHIN_S)."
            return str(error).removeprefix(f"{key}: ")
        finally:
            timer.cancel()
            child.kill()
            child.wait()
            child.close()
        return ""

    def _file(self, manifest: Manifest) -> Path:
        """Return the file of a result. Under other limits a version is tried anew."""
        tried = msgspec.json.encode((manifest, self._options.load.within_s, self._options.load.max_bytes))
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


def _read(file: Path) -> _Result | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Result)
    except (OSError, msgspec.DecodeError):
        return None
