"""What a version takes of the memory of this process, as Linux counts it."""

import ctypes
import gc
import re
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from runtimes.kinds import loader_of
from runtimes.manifest import Files, Manifest

_ROLLUP = Path("/proc/self/smaps_rollup")
_STATUS = Path("/proc/self/status")
_LIBRARIES = {"sklearn": "sklearn", "lightgbm": "lightgbm", "xgboost": "xgboost", "catboost": "catboost"}


def bytes_without(manifest: Manifest, files: Files) -> int:
    """Import what runs the version, which is no part of it. Return what this process takes without the files.

    What a library takes once, with its first model, is no part of the version either.

    Raises:
        ModelRefused: a library is not installed.
    """
    loader_of(manifest.runtime)
    library = "skops.io" if manifest.file.endswith(".skops") else _LIBRARIES.get(manifest.runtime)
    if library is not None:
        with suppress(ImportError):
            import_module(library)
    if manifest.runtime == "onnx":
        from runtimes.onnx.prepare import prepare  # ONNX Runtime is for versions of this kind alone

        prepare()
    return own_bytes() - sum(map(len, files.values()))


def own_bytes() -> int:
    """Return the memory of this process after what is free was given back; pages that others share count in part.

    Return 0 where the kernel does not say it.
    """
    gc.collect()
    with suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).malloc_trim(0)
    return _kibibytes(_ROLLUP, "Pss") * 1024


def peak_bytes() -> int:
    """Return the most memory that this process has taken. Return 0 where the kernel does not say it."""
    return _kibibytes(_STATUS, "VmHWM") * 1024


def _kibibytes(file: Path, key: str) -> int:
    try:
        found = re.search(rf"^{key}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
