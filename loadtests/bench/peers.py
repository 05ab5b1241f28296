"""The peers' virtual environments, each built from a pinned requirements file."""

import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

from loadtests.bench.launch import StartError

PEERS: Final = ("mlserver", "kserve", "bentoml", "litserve", "triton")

REQUIREMENTS: Final = Path(__file__).parents[1] / "peers"
_COMPLETE: Final = ".complete"
_INSTALL_LIMIT_S: Final = 1800


def ensure_peer(peer: str, work: Path, tell: Callable[[str], None]) -> Path:
    """Return the Python of a peer's environment. Build it first if it is missing or out of date."""
    requirements = REQUIREMENTS / f"requirements-{peer}.txt"
    environment = work / peer
    python = environment / "bin" / "python"
    digest = sha256(requirements.read_bytes()).hexdigest()
    complete = environment / _COMPLETE
    if complete.exists() and complete.read_text() == digest:
        return python
    tell(f"installing {peer} (once; takes a minute or two)")
    _run([sys.executable, "-m", "venv", "--clear", str(environment)], peer)
    _run([str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)], peer)
    complete.write_text(digest)
    return python


def _run(command: list[str], peer: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_LIMIT_S)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise StartError(f"Installing {peer} took more than {_INSTALL_LIMIT_S} s; check the network.") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else f"'{' '.join(command)}' ended with code {done.returncode}"
        raise StartError(f"{peer} could not be installed: {reason}")
