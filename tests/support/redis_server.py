"""A real redis-server on a free port, in a folder of its own. It can be killed, frozen and started again."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

from redis import Redis

from tests.support.components import need_program
from tests.support.polling import wait_until
from tests.support.ports import free_port

_BINARY = "redis-server"


def need_redis() -> None:
    """Skip the test where there is no redis-server; in CI, fail it."""
    need_program(_BINARY)


class RedisServer:
    """One server. It keeps nothing on disk unless the options make it, such as `--appendonly yes`."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, config: str | None = None) -> None:
        self.folder = folder
        self.port = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it listens."""
        need_redis()
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        if self._config is not None:
            path = self.folder / "redis.conf"
            path.write_text(self._config)
            arguments = [str(path), *arguments]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen([_BINARY, *arguments, *self._options], stdout=output, stderr=output)
        process = self._process
        wait_until(lambda: self._listens() or process.poll() is not None, shows=self._output.read_text)
        assert process.poll() is None, f"The server ended; another one may have the port:\n{self._output.read_text()}"

    @property
    def _output(self) -> Path:
        return self.folder / "output.txt"

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def client(self, **options: Any) -> Redis:
        """Return a client that belongs to the test."""
        return Redis(port=self.port, decode_responses=True, **options)

    def kill(self) -> None:
        """End the server as a failing machine would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Freeze the server. Its port still takes connections and bytes."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
