"""Real redis-servers for the tests, each on a free port of its own, in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError

_BINARY = "redis-server"


def need_redis() -> None:
    """Skips the test where there is no redis-server; fails where there must be one."""
    if shutil.which(_BINARY) is None:
        missing = "NOT TESTED: the Redis store, for there is no redis-server here (apt-get install redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


def free_port() -> int:
    """A port that nobody listens on, with the one 10,000 above it for the bus of a cluster."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            if port > 50_000:
                continue
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


class RedisServer:
    """One server. It keeps nothing on disk unless the options say so."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, config: str | None = None) -> None:
        self.port = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = folder
        self._options = options
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Starts it, and by default waits until it listens."""
        need_redis()
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        if self._config is not None:
            path = self._folder / "redis.conf"
            path.write_text(self._config)
            arguments = [str(path), *arguments]
        with (self._folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen([_BINARY, *arguments, *self._options], stdout=output, stderr=output)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it answers, be it with a refusal."""
        until_s = time.monotonic() + 10.0
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                    break
            except OSError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(0.02)
        assert self._process is not None
        assert self._process.poll() is None, "somebody else has got the port"

    def client(self, **options: Any) -> Redis:
        """A client of the test's own."""
        return Redis(port=self.port, decode_responses=True, **options)

    def kill(self) -> None:
        """As when the machine fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Freezes it: its port still takes connections and bytes."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Wakes it up."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


class Proxy:
    """Stands between store and server. When the words come that it waits for, it does something, once.

    If that returns False, the server gets the words, but the connection is cut instead of passing its answer on.
    """

    def __init__(self, server: RedisServer, words: str, act: Callable[[], bool]) -> None:
        self._target = ("127.0.0.1", server.port)
        self._words = words.encode()
        self._act: Callable[[], bool] | None = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._run(self._serve)

    def close(self) -> None:
        """Cuts all connections."""
        for each in self._sockets:
            with suppress(OSError):  # the other side was quicker
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                self._sockets.append(inner)
                outer = socket.create_connection(self._target)
                self._sockets.append(outer)
                cut = threading.Event()
                self._run(self._up, inner, outer, cut)
                self._run(self._down, inner, outer, cut)

    def _up(self, inner: socket.socket, outer: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := inner.recv(65536):
                if self._act is not None and self._words in data:
                    act, self._act = self._act, None
                    if not act():
                        cut.set()
                outer.sendall(data)
            outer.shutdown(socket.SHUT_WR)

    def _down(self, inner: socket.socket, outer: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := outer.recv(65536):
                if cut.is_set():  # the server has done it, and the answer is lost
                    inner.shutdown(socket.SHUT_RDWR)
                    return
                inner.sendall(data)


def until(is_so: Callable[[], object], patience_s: float = 10.0) -> float:
    """Waits until a question is answered with yes; errors of Redis are a no. Returns the seconds that it took."""
    started_s = time.monotonic()
    while True:
        try:
            if is_so():
                return time.monotonic() - started_s
        except (RedisError, NoConnection, OSError):
            pass
        assert time.monotonic() - started_s < patience_s
        time.sleep(0.05)
