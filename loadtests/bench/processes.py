"""Servers as processes, each in a session of its own. They are always stopped, by process id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import psutil

from loadtests.bench import grpc_client
from loadtests.bench.launch import Form, Launch, StartError

_POLL_S: Final = 0.2
_STOP_LIMIT_S: Final = 40.0
_KILL_LIMIT_S: Final = 5.0
_REQUEST_LIMIT_S: Final = 2.0


class Server:
    """A running server and every process that it started."""

    def __init__(self, launch: Launch, log: Path, folder: Path) -> None:
        """Start the process in a new session, so that the terminal's Ctrl-C reaches only the benchmark."""
        _require_free(launch)
        self.launch = launch
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                launch.command,
                cwd=folder,
                env={**os.environ, **launch.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until the server reports that it is ready, then run the commands in `after_ready`."""
        deadline_s = time.monotonic() + self.launch.ready_limit_s
        while not self._is_ready():
            if self._process.poll() is not None:
                raise StartError(f"It ended with code {self._process.returncode} at start; read {self._log}.")
            if time.monotonic() > deadline_s:
                raise StartError(f"It was not ready in {self.launch.ready_limit_s:.0f} s; read {self._log}.")
            time.sleep(_POLL_S)
        for command in self.launch.after_ready:
            run_quietly(command, self.launch.ready_limit_s)

    def stop(self) -> None:
        """Stop the server: send SIGTERM to its first process, then kill all processes that are left."""
        family = _family(self._process.pid)
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_LIMIT_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=_KILL_LIMIT_S)
        self._process.wait(_KILL_LIMIT_S)

    def _is_ready(self) -> bool:
        if self.launch.forms == {Form.GRPC}:
            return grpc_client.is_ready(self.launch.grpc_address, _REQUEST_LIMIT_S)
        try:
            response = httpx.get(self.launch.url + self.launch.ready_path, trust_env=False, timeout=_REQUEST_LIMIT_S)
        except httpx.HTTPError:
            return False
        return response.is_success


def run_quietly(command: Sequence[str], limit_s: float) -> None:
    """Run a helper command. If it fails, raise `StartError` with the last line that it printed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise StartError(f"'{' '.join(command)}' took more than {limit_s:.0f} s; run it by hand.") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        raise StartError(f"'{' '.join(command)}' failed: {lines[-1]}")


def _require_free(launch: Launch) -> None:
    for port in launch.ports:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise StartError(f"Port {port} is taken; choose another --base-port.")


def _family(pid: int) -> list[psutil.Process]:
    """Return all descendants of a process, including those that left its process group."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(pid).children(recursive=True)
    return family
