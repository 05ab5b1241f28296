"""What each durability of a route's log costs: processor time of the replica, and the time until the answer.

One replica without Ray, whose log is in a real S3 server on the same machine (SeaweedFS, of the tests), answers
connections that send one request after the other. The durabilities take turns, so a busy machine slows all of them.
`python -m loadtests.studies.durabilities [--requests N] [--connections N] [--rounds N] [--json]`.
"""

import os
import statistics
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import httpx
import numpy as np
import typer

from inference_log.files.s3 import S3Files
from inference_log.s3.client import connect
from inference_log.s3.place import Place
from loadtests.figures import print_figures
from loadtests.soak.traffic import connected, read_responses
from router.spec.log import Durability
from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.s3_server import S3Server

_TICKS = os.sysconf("SC_CLK_TCK")
_BODY = b'{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
_OK = b"HTTP/1.1 200"
_READY_S = 120.0


def main(
    requests: Annotated[int, typer.Option(min=1, help="Requests of each measurement.")] = 2_000,
    connections: Annotated[int, typer.Option(min=1, help="Connections that send at once.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="How often each durability is measured.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure best_effort, durable and strict in turns."""
    with TemporaryDirectory() as folder:
        server = S3Server(Path(folder) / "s3", "logs")
        server.start()
        try:
            figures = _measure(Path(folder), server, requests, connections, rounds)
        finally:
            server.kill()
    print_figures(figures, as_json=as_json)


def _measure(folder: Path, server: S3Server, requests: int, connections: int, rounds: int) -> dict[str, float]:
    linear.fill(folder / "models")
    settings = {"ENGINE": "uvicorn", "REGISTRY": str(folder / "models"), "LOG": "s3://logs", "SEGMENT_MAX_AGE_S": "600"}
    variables = {f"POINTSMAN_{name}": value for name, value in settings.items()}
    gateway = GatewayProcess(folder / "home", "serve", **variables, **server.environment)
    cpu_us: dict[str, list[float]] = {each: [] for each in Durability}
    taken_s: dict[str, list[float]] = {each: [] for each in Durability}
    with running(gateway):
        for each in Durability:
            gateway.declare({"route": str(each), "arms": {"a": "linear:1"}, "split": {"a": "100%"}, **_log(each)})
        _wait_for(gateway)
        (pid,) = gateway.wait_for_replicas(1)
        for _ in range(rounds):
            for each in Durability:
                before_s = _cpu_s(pid)
                taken_s[each] += _load(gateway.port, each, requests, connections)
                cpu_us[each].append((_cpu_s(pid) - before_s) / requests * 1e6)
        parts = _parts(server)
    figures: dict[str, float] = {}
    for each in Durability:
        name = str(each)
        p50_s, p99_s = np.percentile(taken_s[each], (50, 99))
        figures[f"{name}: processor time of the replica, µs a request (median)"] = statistics.median(cpu_us[each])
        figures[f"{name}: processor time of the replica, µs a request (lowest)"] = min(cpu_us[each])
        figures[f"{name}: p50, ms"] = p50_s * 1e3
        figures[f"{name}: p99, ms"] = p99_s * 1e3
    figures["strict: requests a put"] = rounds * requests / parts
    return figures


def _log(durability: Durability) -> dict[str, Any]:
    return {"log": {"durability": str(durability)}, "deadline": "30s"}


def _wait_for(gateway: GatewayProcess) -> None:
    """Wait until the strict route answers: its process takes a while to start."""
    until_s = time.monotonic() + _READY_S
    url = f"{gateway.url}/v2/models/{Durability.STRICT}/infer"
    while httpx.post(url, content=_BODY, timeout=60.0, trust_env=False).status_code != 200:
        if time.monotonic() > until_s:
            raise TimeoutError("The strict route does not answer.")


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _load(port: int, route: str, requests: int, connections: int) -> list[float]:
    """Send requests over connections, each one after the other, and return how long each took, in seconds."""
    head = f"POST /v2/models/{route}/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(_BODY)}\r\n\r\n"
    taken_s: list[float] = []

    def send() -> None:
        opened = connected(port)
        with opened:
            for _ in range(requests // connections):
                began_s = time.perf_counter()
                opened.sendall(head.encode() + _BODY)
                if not read_responses(opened, 1).startswith(_OK):
                    raise ConnectionError(f"Route {route} did not answer.")
                taken_s.append(time.perf_counter() - began_s)

    threads = [threading.Thread(target=send) for _ in range(connections)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if len(taken_s) < requests // connections * connections:
        raise ConnectionError(f"Route {route} did not answer all requests.")
    return taken_s


def _parts(server: S3Server) -> int:
    """Return how many objects there are for strict rows."""
    os.environ.update(server.environment)
    return len(S3Files(connect(), Place("logs", "")).list("_strict/"))


if __name__ == "__main__":
    typer.run(main)
