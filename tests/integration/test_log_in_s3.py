"""A gateway whose log is in S3: rows arrive, also when S3 was away, and what waits is bounded and said."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.companion.child_converter import ChildConverter
from gateway.companion.convert import Task
from inference_log.converter import Outcome
from inference_log.files import LogFiles
from inference_log.files.s3 import S3Files
from inference_log.record import Context, Record
from inference_log.s3.place import Place
from inference_log.writer import LogWriter
from loadtests.soak.ledger.__main__ import Report, run
from loadtests.soak.ledger.bucket import look
from loadtests.soak.ledger.faults import FAULTS, Storage
from tests.support import linear
from tests.support.components import in_soak
from tests.support.faulty_proxy import FaultyProxy
from tests.support.gateway_process import GatewayProcess, running
from tests.support.log_places import hasty_connection, variables
from tests.support.polling import wait_until
from tests.support.ports import free_ports
from tests.support.s3_server import S3Server

ROUTE = {"route": "r", "arms": {"a": "linear:1"}, "split": {"a": "100%"}}
MAX_DISK_BYTES = 40_000_000


@pytest.fixture
def proxy(s3_server) -> Iterator[FaultyProxy]:
    made = FaultyProxy(s3_server.url)
    yield made
    made.close()


@pytest.fixture
def files(s3_server) -> LogFiles:
    return S3Files(hasty_connection(s3_server), Place("logs", "prod/"))


@pytest.fixture
def gateway(s3_server, proxy, tmp_path) -> GatewayProcess:
    linear.fill(tmp_path / "models")
    settings = {
        "ENGINE": "uvicorn", "REGISTRY": str(tmp_path / "models"), "LOG": "s3://logs/prod", "SEGMENT_MAX_AGE_S": "1",
        "LOG_MAX_DISK_BYTES": str(MAX_DISK_BYTES),
    }  # fmt: skip
    variables = {**s3_server.environment, "AWS_ENDPOINT_URL_S3": proxy.url}
    return GatewayProcess(
        tmp_path / "var", "serve", **{f"POINTSMAN_{name}": value for name, value in settings.items()}, **variables
    )


def ask(gateway: GatewayProcess, number: int) -> None:
    tensor = {"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    body = {"id": f"m-{number:012d}", "inputs": [tensor]}
    answer = httpx.post(f"{gateway.url}/v2/models/r/infer", json=body, timeout=60.0, trust_env=False)
    assert answer.status_code == 200


def requests_in(files: LogFiles) -> list[int]:
    """Return the numbers of the requests that are in the log, once for each row."""
    found: list[int] = []
    for each in files.list("inferences/"):
        with files.filesystem.open_input_file(files.path(each.key)) as file:
            ids = pq.read_table(file, columns=["request_id"])["request_id"].to_pylist()
            found += [int(each[2:]) for each in ids]
    return sorted(found)


def metric(gateway: GatewayProcess, name: str) -> float:
    text = httpx.get(f"{gateway.url}/metrics", timeout=60.0, trust_env=False).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def said(gateway: GatewayProcess) -> str:
    return json.dumps(gateway.client.status())


@in_soak
def test_rows_arrive_and_what_waits_is_bounded_said_and_shipped_by_the_next_start(gateway, proxy, files):
    with running(gateway):
        gateway.declare(ROUTE)
        for number in range(5):
            ask(gateway, number)
        wait_until(lambda: requests_in(files) == [0, 1, 2, 3, 4])
        wait_until(lambda: metric(gateway, 'pointsman_log_records_total{outcome="persisted"}') >= 5)
        assert metric(gateway, "pointsman_log_oldest_row_seconds") < 60
        proxy.fault = "AccessDenied"
        ask(gateway, 5)
        wait_until(lambda: metric(gateway, 'pointsman_log_failures_total{code="AccessDenied"}') >= 1)
        filler = gateway.home / "spool" / "staging" / "filler"
        filler.write_bytes(b"x" * MAX_DISK_BYTES)
        wait_until(lambda: "All rows are left out of the log" in said(gateway), shows=lambda: said(gateway))
        ask(gateway, 6)
        dropped = 'pointsman_log_dropped_total{reason="bound"}'
        wait_until(lambda: metric(gateway, dropped) == 1)
        filler.unlink()
        wait_until(lambda: "left out of the log" not in said(gateway))
        ask(gateway, 7)
    assert list((gateway.home / "spool").glob("0/*.segment"))
    assert requests_in(files) == [0, 1, 2, 3, 4]
    proxy.fault = ""
    with running(gateway):
        wait_until(lambda: requests_in(files) == [0, 1, 2, 3, 4, 5, 7])
        wait_until(lambda: not list((gateway.home / "spool").glob("0/*.segment")))


def test_many_routes_are_stored_with_the_least_memory_that_can_be_set(s3_server, tmp_path):
    """The threads that put files count, too."""
    (tmp_path / "spool").mkdir()
    writer = LogWriter(tmp_path / "spool", "w")
    contexts = [
        Context(0, f"r{number}", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d") for number in range(70)
    ]
    for number in range(140):
        writer.append(
            contexts[number % 70],
            lambda context, seq: Record(
                context, seq, f"d{seq}", 0, 0, "WEIGHTED", 1.0, None, 200, "ok", "", 0, 0, 1, "", "", (), ()
            ),
        )
    with variables(s3_server):
        task = Task("s3://logs/many", str(tmp_path / "staging"), "", 256 * 1024 * 1024)
        converter = ChildConverter(task)
        converted = converter.convert(writer.rotate(0.0, 0), lambda: False)
        converter.rest()
    assert (converted.outcome, converted.rows) == (Outcome.STORED, 140), converted
    stored = S3Files(hasty_connection(s3_server), Place("logs", "many/")).list("inferences/")
    assert len({each.key for each in stored}) == 70
    assert list((tmp_path / "staging").iterdir()) == []


def test_every_answered_request_is_in_the_bucket_once_after_faults_and_kills(tmp_path, monkeypatch):
    """The soak `ledger` with few requests: S3 refuses and is killed, and so are companion and replica."""
    server = S3Server(tmp_path / "s3", "logs")
    server.start()
    proxy = FaultyProxy(server.url)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    home, report = Path(tmp_path / "home"), Report(3000)
    home.mkdir()
    try:
        chosen = tuple(fault for fault in FAULTS if fault.name in ("refusing", "killed"))
        run(home, free_ports(2)[0], Storage(server, proxy), report, chosen)
    finally:
        proxy.close()
        server.kill()
    assert report.faults == []
    assert report.replicas_killed == 1
    assert report.companions_killed >= 1
    assert report.bucket["rows"] >= report.answered > 2000


def test_a_row_that_is_missing_or_twice_is_found(files, s3_server, tmp_path):
    """So that the tests above can fail."""
    names = ("request_id", "inference_id", "writer_id", "writer_seq")
    rows = [("m-000000000000", "a", "w", 0), ("m-000000000000", "b", "w", 1), ("m-000000000001", "c", "w", 3)]
    rows += [rows[2]]
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), tmp_path / "f")
    own = S3Files(hasty_connection(s3_server), Place("logs", "wrong/"))
    own.write("inferences/route=r/dt=2026-01-01/f.parquet", (tmp_path / "f").read_bytes())
    found = look(own, np.array([True, False, True]))
    assert (found.missing, found.twice, found.repeated, found.unanswered, found.lost) == (1, 1, 1, 1, 1)
