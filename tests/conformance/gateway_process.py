"""A gateway as users start it: the command, in a process of its own, with the engine that needs no cluster."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from router.document.commands import Declare, apply
from router.spec.parse import parse_spec
from store.interface import Change, Entry
from store.open import open_store

_START_S, _END_S = 120.0, 30.0
_READY = "Pointsman serves at"


class GatewayProcess:
    """`pointsman serve --engine uvicorn`. `http` and `grpc` are its addresses, without a scheme."""

    def __init__(self, home: Path) -> None:
        ports = free_ports(2)
        self.http, self.grpc = (f"127.0.0.1:{port}" for port in ports)
        self._home = home
        self._output = home / "output.txt"
        own = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
        self._environment = {
            **own,
            "POINTSMAN_HOME": str(home),
            "POINTSMAN_PORT": str(ports[0]),
            "POINTSMAN_GRPC_PORT": str(ports[1]),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def declare(self, routes: list[dict[str, Any]]) -> None:
        store = open_store(f"sqlite:///{self._home / 'pointsman.db'}")
        for raw in routes:
            document = apply(None, Declare(parse_spec(raw)))
            store.compare_and_set([Entry(document, Change("test", time.time(), "apply"))])
        store.close()

    def start(self) -> None:
        """Returns when every route is served."""
        command = [Path(sys.executable).parent / "pointsman", "serve", "--engine", "uvicorn"]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
        until_s = time.monotonic() + _START_S
        while _READY not in self.output():
            if self._process.poll() is not None or time.monotonic() > until_s:
                self.end()
                raise AssertionError(f"The gateway did not start:\n{self.output()}")
            time.sleep(0.05)

    def output(self) -> str:
        return self._output.read_text()

    def end(self) -> int:
        """Its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
