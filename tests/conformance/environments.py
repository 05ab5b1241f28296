"""The environments of the foreign clients. They need another protobuf than ours, and are built on first use.

`python -m tests.conformance.environments` builds those that are missing, as `make test` does meanwhile.
"""

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT

CLIENTS = ROOT / ".clients"
_COMPLETE = ".complete"
_INSTALL_LIMIT_S = 1800
_BY_HAND = {"bandits", "mlflow", "mlflow-server", "mlflow-skinny", "spark"}
"""Only tests that `make soak` runs need them, and build them."""


class Unavailable(Exception):
    """An environment cannot be built; the message says why."""


@contextmanager
def alone() -> Iterator[None]:
    """Keep other test processes of this checkout from building at the same time."""
    CLIENTS.mkdir(exist_ok=True)
    with (CLIENTS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(name: str) -> Path:
    """Return the Python of an environment. Build it first if it is missing or its pins have changed.

    Raises:
        Unavailable: it cannot be built.
    """
    requirements = Path(__file__).parent / f"requirements-{name}.txt"
    folder = CLIENTS / name
    python, complete = folder / "bin" / "python", folder / _COMPLETE
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    with alone():
        if not complete.exists() or complete.read_text() != digest:
            sys.stderr.write(f"building the environment {folder} (once; minutes)\n")
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            _run([str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--requirement", str(requirements)])
            complete.write_text(digest)
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(command)} took more than {_INSTALL_LIMIT_S} s.") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise Unavailable(f"{' '.join(command)} failed: {errors[-1] if errors else done.stderr.strip()[-200:]}")


def ensure_all() -> None:
    """Build what is missing. What cannot be built is told; the tests that need it are skipped, and fail in CI."""
    files = Path(__file__).parent.glob("requirements-*.txt")
    for name in sorted({each.stem.removeprefix("requirements-") for each in files} - _BY_HAND):
        try:
            ensure(name)
        except Unavailable as error:
            sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    ensure_all()
