"""A strict route with its log in a real S3 server: what was answered is there, whatever is lost with the machine."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx
import numpy as np
import pytest

from inference_log.files import LogFiles
from inference_log.files.s3 import S3Files
from inference_log.s3.place import Place
from inference_log.strict.parts import parts_by_segment
from loadtests.soak.ledger.bucket import look
from tests.support import linear
from tests.support.components import in_soak
from tests.support.faulty_proxy import FaultyProxy
from tests.support.gateway_process import GatewayProcess, running
from tests.support.log_places import hasty_connection
from tests.support.polling import wait_until

STRICT = {
    "route": "strict",
    "arms": {"a": "linear:1"},
    "split": {"a": "100%"},
    "deadline": "10s",
    "log": {"durability": "strict"},
}
OTHER = {"route": "other", "arms": {"a": "linear:1"}, "split": {"a": "100%"}}
SENDERS = 4
ACKNOWLEDGER, COMPANION = "gateway.inference.strict.acknowledge", "gateway.companion.main"


class Machine:
    """A gateway with a home of its own, whose log and way to S3 outlive it."""

    def __init__(self, s3_server, proxy: FaultyProxy, root: Path) -> None:
        linear.fill(root / "models")
        self.root, self.proxy = root, proxy
        prefix = f"{root.parent.name}/{root.name}"
        self.files: LogFiles = S3Files(hasty_connection(s3_server), Place("logs", f"{prefix}/"))
        settings = {"ENGINE": "uvicorn", "REGISTRY": str(root / "models"), "LOG": f"s3://logs/{prefix}"}
        settings["STORE"] = f"sqlite:///{root / 'store.db'}"  # as Redis, it outlives the machine
        self._variables = {f"POINTSMAN_{name}": value for name, value in settings.items()}
        self._variables |= {**s3_server.environment, "AWS_ENDPOINT_URL_S3": proxy.url}

    def gateway(self, home: str = "home") -> GatewayProcess:
        return GatewayProcess(self.root / home, "serve", **self._variables)

    def parts(self) -> dict:
        return parts_by_segment(self.files)


def ask(gateway: GatewayProcess, number: int, route: str = "strict") -> tuple[int, str, float]:
    """Send a request. Return status, error and seconds; status 0 if there was no response."""
    tensor = {"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    body = {"id": f"m-{number:012d}", "inputs": [tensor]}
    began_s = time.perf_counter()
    try:
        answer = httpx.post(f"{gateway.url}/v2/models/{route}/infer", json=body, timeout=60.0, trust_env=False)
    except httpx.HTTPError:
        return 0, "", time.perf_counter() - began_s
    return answer.status_code, answer.headers.get("x-error", ""), time.perf_counter() - began_s


def processes(gateway: GatewayProcess) -> list[int]:
    """Return the processes of a gateway: its replica, its companion, and their children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"POINTSMAN_HOME={gateway.home}\0".encode() in environment:
                found.append(int(entry.name))
    return found


def process_of(gateway: GatewayProcess, module: str) -> int:
    """Return the process of a gateway that runs a module: the one that puts rows in S3 before the answer, ..."""

    def of_gateway() -> list[int]:
        return [pid for pid in processes(gateway) if module in Path(f"/proc/{pid}/cmdline").read_text()]

    (pid,) = wait_until(of_gateway)
    return pid


@pytest.fixture
def proxy(s3_server) -> Iterator[FaultyProxy]:
    made = FaultyProxy(s3_server.url)
    yield made
    made.close()


@pytest.fixture
def machine(s3_server, proxy, tmp_path) -> Machine:
    return Machine(s3_server, proxy, tmp_path)


def test_a_machine_that_is_lost_with_its_disk_takes_no_answered_row_with_it(machine):
    lost, numbers, answered = machine.gateway("lost"), count(), []

    def send() -> None:
        while True:
            number = next(numbers)
            status, error, _ = ask(lost, number)
            if status == 0:
                return
            assert (status, error) in ((200, ""), (503, "RowNotConfirmed"))
            if status == 200:
                answered.append(number)

    lost.start()
    lost.declare(STRICT)
    wait_until(lambda: ask(lost, next(numbers))[0] == 200)
    with ThreadPoolExecutor(SENDERS) as pool:
        sent = [pool.submit(send) for _ in range(SENDERS)]
        wait_until(lambda: len(answered) >= 100 or any(each.done() for each in sent))
        for pid in processes(lost):
            os.kill(pid, signal.SIGKILL)
        for each in sent:
            each.result()
    lost.process.wait()
    shutil.rmtree(lost.home)
    assert machine.files.list("inferences/") == []
    asked = np.zeros(next(numbers), bool)
    asked[answered] = True
    here = machine.gateway("another")
    here.home.mkdir()
    assert [each["state"] for each in recover(here, "1h")] == ["waits"]
    for new in (True, False):
        assert [each["state"] for each in recover(here, "1us")] == ["stored"]
        found = look(machine.files, asked)
        assert (found.missing, found.twice, found.repeated, found.lost, found.files) == (0, 0, 0, 0, 1), new
    verified = here.cli("log", "verify", "--json")
    assert json.loads(verified.stdout)["lost"] == [], verified.stderr


def recover(gateway: GatewayProcess, older_than: str) -> list[dict]:
    return json.loads(gateway._command_here("log", "recover", "--older-than", older_than, "--json"))


@in_soak
def test_while_s3_or_the_process_fails_strict_requests_fail_in_time_and_others_do_not(machine, proxy):
    gateway = machine.gateway()
    quick = {**STRICT, "deadline": "1s"}
    with running(gateway):
        gateway.declare(quick)
        gateway.declare(OTHER)
        wait_until(lambda: ask(gateway, 0)[0] == 200)

        def fails() -> None:
            status, error, took_s = ask(gateway, 1)
            assert (status, error) == (503, "RowNotConfirmed")
            assert took_s < 10
            assert ask(gateway, 2, "other")[0] == 200

        def recovers() -> None:
            wait_until(lambda: ask(gateway, 3)[0] == 200)

        proxy.fault = "SlowDown"
        fails()
        proxy.fault = ""
        recovers()
        proxy.delay_s = 3.0
        fails()
        proxy.delay_s = 0.0
        recovers()
        os.kill(process_of(gateway, ACKNOWLEDGER), signal.SIGSTOP)
        fails()
        recovers()  # it is killed, and the next one is started
        os.kill(process_of(gateway, ACKNOWLEDGER), signal.SIGKILL)
        recovers()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            os.kill(process_of(gateway, COMPANION), number)
            assert ask(gateway, 3)[0] == 200
        (rejected,) = gateway.query(
            "SELECT count(*) > 0 AS found FROM inferences WHERE error_code = 'RowNotConfirmed' AND outcome = 'rejected'"
        )
        assert rejected["found"]
    with running(gateway):
        wait_until(lambda: machine.parts() == {}, shows=gateway.output.read_text)
    assert look(machine.files, np.zeros(4, bool)).lost == 0
