"""A gateway as users start it: the command, in a process of its own, on a real local Ray cluster."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from gateway.cli.client import ApiClient

START_S = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class GatewayProcess:
    """`pointsman demo`, started and waited for."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.grpc_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "POINTSMAN_HOME": str(home),
            "POINTSMAN_PORT": str(self.port),
            "POINTSMAN_GRPC_PORT": str(self.grpc_port),
            "POINTSMAN_URL": self.url,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        }
        self.output = home / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.client = ApiClient(self.url)

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        before = self._ready_lines()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                ["pointsman", "demo"], env=self.environment, stdout=output, stderr=output, start_new_session=True
            )
        until_s = time.monotonic() + START_S
        # Asked of this process, not of the port: replicas of one that was killed answer for a moment longer.
        while self._ready_lines() == before:
            if self.process.poll() is not None or time.monotonic() > until_s:
                raise AssertionError(f"The gateway did not start:\n{self.output.read_text()}")
            time.sleep(0.1)

    def _ready_lines(self) -> int:
        return self.output.read_text().count("Pointsman serves at") if self.output.exists() else 0

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v2/health/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_for_replicas(self, count: int, without: frozenset[int] = frozenset(), limit_s: float = 60.0) -> set[int]:
        """The pids of exactly `count` live replicas, none of them among `without`."""
        until_s = time.monotonic() + limit_s
        pids: set[int] = set()
        while time.monotonic() < until_s:
            pids = {each["pid"] for each in self.client.status()["replicas"] if each["state"] == "LIVE"}
            pids = {pid for pid in pids if Path(f"/proc/{pid}").exists()}
            if len(pids) == count and not pids & without:
                return pids
            time.sleep(0.1)
        raise AssertionError(f"Not {count} replicas within {limit_s} s, but {pids}:\n{self.output.read_text()}")

    def end(self, number: int = signal.SIGTERM, limit_s: float = 60.0) -> int:
        """Sends a signal and waits; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(limit_s)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pointsman", *arguments], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def query(self, sql: str) -> list[dict[str, Any]]:
        import json

        done = self.cli("log", "query", "--json", sql)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows
