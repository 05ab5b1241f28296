"""A redis-server of a study's own."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.bench.launch import StartError

_START_S = 60.0
_POLL_S = 0.05


@contextmanager
def redis_server(folder: Path, port: int) -> Iterator[str]:
    """Start a redis-server that keeps nothing on disk, and return its URL. It ends after the block.

    Raises:
        StartError: it does not listen within a minute.
    """
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "redis.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603  # a command of this module
    try:
        _await_listening(port)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _await_listening(port: int) -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(_POLL_S)
    raise StartError(f"The redis-server on port {port} does not listen.")
