"""One gateway without Ray, as a process with models of its own, and what it takes of memory."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from loadtests.bench.launch import StartError
from loadtests.bench.setting import REPOSITORY
from router.document.apply import apply
from router.document.commands import Declare
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.open import open_store

_START_LIMIT_S: Final = 240.0
_END_LIMIT_S: Final = 120.0
_POLL_S: Final = 0.1
_MAIN: Final = "import sys; sys.argv[0] = 'pointsman'; from gateway.cli.main import main; main()"

COMMAND: Final = (sys.executable, "-P", "-c", _MAIN)
"""The command `pointsman`, of the code that is imported here."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway. HTTP is at `port`, gRPC at `grpc_port`."""

    home: Path
    port: int
    grpc_port: int
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]

    @property
    def is_alive(self) -> bool:
        """Return True if the process has not ended."""
        return self.process.poll() is None

    def resident_bytes(self) -> int:
        """Return the memory of the process. That of its children is not part of it."""
        with suppress(psutil.NoSuchProcess):
            return int(psutil.Process(self.process.pid).memory_info().rss)
        return 0

    def cpu_s(self) -> float:
        """Return the processor time of the process."""
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(self.process.pid).cpu_times()
            return float(times.user + times.system)
        return 0.0

    def family_bytes(self) -> int:
        """Return the memory of the process and of all its children."""
        total = self.resident_bytes()
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    total += int(child.memory_info().rss)
        return total

    def end(self) -> int:
        """End the gateway in order and return its exit code. A gateway that does not end in time is killed."""
        if self.is_alive:
            self.process.terminate()
        try:
            return self.process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def last_lines(self, count: int = 5) -> str:
        """Return the end of what the gateway has printed."""
        return "\n".join((self.home / "output.txt").read_text(errors="replace").splitlines()[-count:])


def declare(home: Path, routes: list[dict[str, Any]]) -> None:
    """Write routes into the store of a gateway that is not running."""
    store = open_store(f"sqlite:///{home / 'pointsman.db'}")
    try:
        for route in routes:
            now_s = time.time()
            change = Change(who="soak", at_s=now_s, what="apply", why="a soak test")
            store.compare_and_set([Entry(apply(None, Declare(parse_spec(route), now_s)), change)])
    finally:
        store.close()


@contextmanager
def serving(home: Path, port: int, **settings: str) -> Iterator[Gateway]:
    """Start a gateway on `port` and the port above it, with what `home` holds. End it after the block.

    Raises:
        StartError: it did not become ready.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
    given = {"ENGINE": "uvicorn", "HOME": str(home), "PORT": str(port), "GRPC_PORT": str(port + 1), **settings}
    environment = inherited | {f"POINTSMAN_{name}": value for name, value in given.items()}
    environment["PYTHONPATH"] = str(REPOSITORY)
    with (home / "output.txt").open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # a command of this module
            [*COMMAND, "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    gateway = Gateway(home, port, port + 1, environment, process)
    try:
        _wait_ready(gateway)
        yield gateway
    finally:
        gateway.end()


def _wait_ready(gateway: Gateway) -> None:
    until_s = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until_s and gateway.is_alive:
        with suppress(httpx.HTTPError):
            url = f"http://127.0.0.1:{gateway.port}/v2/health/ready"
            if httpx.get(url, trust_env=False, timeout=5).status_code == httpx.codes.OK:
                return
        time.sleep(_POLL_S)
    raise StartError(f"The gateway did not become ready:\n{gateway.last_lines(20)}")


@contextmanager
def new_home(given: Path | None = None) -> Iterator[Path]:
    """Return a folder for a gateway. It is removed after the block, unless it was given."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="pointsman-soak-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
