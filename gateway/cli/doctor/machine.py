"""The machine: versions, file descriptors, shared memory, and what keeps models apart from the network."""

import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gateway.cli.doctor.finding import Finding, fault, ok, warning
from gateway.settings import Settings

_SUBJECT = "machine"
_PACKAGES = ("pointsman", "ray", "onnxruntime", "scikit-learn", "numpy", "pyarrow", "boto3")
_LEAST_OPEN_FILES = 4096
_LEAST_SHARED_BYTES = 64 * 1024**2
_SHARED = Path("/dev/shm")  # noqa: S108  # where Ray keeps its objects, not a file of ours
_LEAVE = "from gateway.execution.process.network import leave_network; leave_network()"
_LIMIT_S = 30.0


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Look at what the machine offers."""
    yield ok(_SUBJECT, f"Python {platform.python_version()}; {', '.join(map(_version, _PACKAGES))}.")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _LEAST_OPEN_FILES:
        yield warning(
            _SUBJECT,
            f"A process may open {hard} files, so a replica takes at most {max((hard - 256) // 2, 10)} connections.",
            f"Raise the limit of open files (ulimit -Hn) to {_LEAST_OPEN_FILES} or more.",
        )
    processors = len(os.sched_getaffinity(0))
    replicas = 1 if settings.engine == "uvicorn" else settings.replicas
    if replicas > processors:
        yield warning(
            _SUBJECT,
            f"{replicas} replicas share {processors} processors.",
            "Set POINTSMAN_REPLICAS to the number of processors at most; each replica has one event loop.",
        )
    if settings.engine == "ray" and _SHARED.exists() and shutil.disk_usage(_SHARED).total < _LEAST_SHARED_BYTES:
        yield fault(
            _SUBJECT,
            f"{_SHARED} is smaller than {_LEAST_SHARED_BYTES // 1024**2} MiB, and Ray keeps its objects there.",
            "Mount more (docker run --shm-size), or set POINTSMAN_ENGINE=uvicorn.",
        )
    if not settings.load_network and not _can_leave_network():
        yield warning(
            _SUBJECT,
            "Versions are tried with the network: this machine lets no process leave it (unshare).",
            "Allow user namespaces without privileges, or let pods of models have no way out (NetworkPolicy).",
        )


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def _can_leave_network() -> bool:
    """Return True if a process can do without the network. It is another one: this one needs it."""
    command = [sys.executable, "-c", _LEAVE]
    done = subprocess.run(command, capture_output=True, check=False, timeout=_LIMIT_S)  # noqa: S603  # our own code
    return done.returncode == 0
