"""A real redis-server of the tests' own, which can be killed, stopped and started again on the same data."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import redis

from tests.serve.gateway_process import free_port


class RedisProcess:
    """Keeps what it is told (append-only file), as a store of documents should."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            if os.environ.get("CI") == "true":
                pytest.fail("redis-server is not installed; .ci/run installs it.")
            pytest.skip("NOT TESTED: redis-server is not installed (Debian: apt-get install redis-server).")
        self.folder.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self._process = subprocess.Popen(
            [program, *options, "--save", "", "--appendonly", "yes"], stdout=subprocess.DEVNULL
        )
        client, until_s = redis.Redis(port=self.port), time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < until_s, "redis-server did not start"
                time.sleep(0.02)
        client.close()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)
