"""A gateway as operators start it: the command, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from typer.testing import CliRunner

from gateway.cli.client import ApiClient
from gateway.cli.main import app
from tests.support.polling import wait_until
from tests.support.ports import free_ports

_START_S = 240.0
_END_S = 120.0
_CLI_S = 240.0
_READY = "Pointsman serves at"


class GatewayProcess:
    """`pointsman demo` or another command that serves, on free ports. Its settings come from the tests alone."""

    def __init__(self, home: Path, *command: str, **settings: str) -> None:
        self.home = home
        self.port, self.grpc_port = free_ports(2)
        self.http, self.grpc = (f"127.0.0.1:{port}" for port in (self.port, self.grpc_port))
        self.url = f"http://{self.http}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("POINTSMAN_")}
        self.environment = {
            **inherited,
            "POINTSMAN_HOME": str(home),
            "POINTSMAN_PORT": str(self.port),
            "POINTSMAN_GRPC_PORT": str(self.grpc_port),
            "POINTSMAN_URL": self.url,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **settings,
        }
        self.output = home / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.client = ApiClient(self.url)
        self._command = command or ("demo",)

    def start(self) -> None:
        """Start the process and wait until it serves every route."""
        self.home.mkdir(parents=True, exist_ok=True)
        before = self._ready_lines()
        with self.output.open("ab") as output:
            self.process = process = subprocess.Popen(
                ["pointsman", *self._command],
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        # The output tells, not the port: replicas of a gateway that was killed answer on it for a moment longer.
        try:
            wait_until(
                lambda: self._ready_lines() > before or process.poll() is not None,
                within_s=_START_S,
                shows=self.output.read_text,
            )
        except AssertionError:
            self.end()
            raise
        assert self.process.poll() is None, f"The gateway ended before it served:\n{self.output.read_text()}"

    def _ready_lines(self) -> int:
        return self.output.read_text().count(_READY) if self.output.exists() else 0

    def is_ready(self) -> bool:
        """Return True if the gateway says that it serves."""
        try:
            return httpx.get(f"{self.url}/v2/health/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_ready(self) -> None:
        """Wait until every route is served. On a busy machine that is later than the start, which waits for 10 s."""
        wait_until(self.is_ready, within_s=_START_S, shows=lambda: self.client.status())

    def wait_for_replicas(self, count: int, without: frozenset[int] = frozenset(), limit_s: float = 180.0) -> set[int]:
        """Return the pids of exactly `count` live replicas, none of them among `without`."""

        def live() -> set[int]:
            reported = {each["pid"] for each in self.client.status()["replicas"] if each["state"] == "LIVE"}
            return {pid for pid in reported if Path(f"/proc/{pid}").exists()}

        def as_wanted() -> set[int]:
            pids = live()
            return pids if len(pids) == count and not pids & without else set()

        return wait_until(
            as_wanted,
            within_s=limit_s,
            shows=lambda: f"Wanted {count} replicas, live are {live()}:\n{self.output.read_text()}",
        )

    def end(self, number: int = signal.SIGTERM, limit_s: float = _END_S) -> int:
        """Send a signal, wait for the end, and return the exit code. Kill the process if it does not end in time."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `pointsman` with these arguments against this gateway."""
        return subprocess.run(
            ["pointsman", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_CLI_S,
            check=False,
        )

    def declare(self, spec: dict[str, Any]) -> None:
        """Declare a route as the command line does, which waits until every replica serves it."""
        path = self.home / f"{spec['route']}.yaml"
        path.write_text(yaml.safe_dump(spec))
        self._command_here("apply", "-f", str(path))

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows that the inference log has for a query."""
        rows: list[dict[str, Any]] = json.loads(self._command_here("log", "query", "--json", sql))
        return rows

    def _command_here(self, *arguments: str) -> str:
        """Return what a command prints that must succeed. To start a process for it would take seconds."""
        done = CliRunner().invoke(app, arguments, env=self.environment)
        assert done.exit_code == 0, f"{done.output}{done.exception!r}"
        return done.stdout


@contextmanager
def running(gateway: GatewayProcess) -> Iterator[GatewayProcess]:
    """Start a gateway; after the block, end it and require that it ends in order. It ends if the block fails, too."""
    gateway.start()
    try:
        yield gateway
    except BaseException:
        gateway.end()
        raise
    assert gateway.end() == 0, gateway.output.read_text()
