"""The log in a real S3: a day is closed, compacted beside late files, and read again, with the commands."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pyarrow.dataset as ds
import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.cli.main import app
from inference_log.completeness.late import NotingSink
from inference_log.completeness.marker import marker_key
from inference_log.files import LogFiles
from inference_log.files.open import open_files
from inference_log.local_converter import LocalConverter
from inference_log.ship import Shipper
from inference_log.sinks.open import open_sink
from tests.support.s3_server import KEY, SECRET, S3Server
from tests.unit.inference_log.completeness.support import CONTEXT, DAY, NEXT_MORNING_US, Machine, record, rows

LOG = "s3://models/ledger"


@pytest.fixture
def files(s3_server: S3Server, monkeypatch) -> Iterator[LogFiles]:
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    yield open_files(LOG)
    names = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3_server.url, **names)
    for each in client.list_objects_v2(Bucket="models", Prefix="ledger/").get("Contents", ()):
        client.delete_object(Bucket="models", Key=each["Key"])


@pytest.fixture
def run(monkeypatch, tmp_path) -> Callable[..., Result]:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POINTSMAN_LOG", LOG)
    return lambda *arguments: CliRunner().invoke(app, ["log", *map(str, arguments)])


def ship(root: Path, machine: Machine) -> None:
    sink = NotingSink(open_sink(LOG, root / "staging"), lambda: open_files(LOG), lambda: NEXT_MORNING_US / 1e6)
    shipper = Shipper(machine.spool, LocalConverter(sink))
    shipper.tick()
    assert shipper.failures == 0


def numbers(files: LogFiles, table: str = "inferences") -> list[int]:
    stored = ds.dataset(files.path(f"{table}/"), format="parquet", filesystem=files.filesystem)
    return sorted(stored.to_table(columns=["writer_seq"])["writer_seq"].to_pylist())


def test_a_day_is_closed_and_compacted_and_late_rows_are_merged(files, run, tmp_path):
    here = Machine(tmp_path / "unused", tmp_path / "spool", record, CONTEXT)
    here.files, here.now_us = files, time.time_ns() // 1000
    for sequence in range(4):
        here.log(rows(*range(10 * sequence, 10 * sequence + 10)), sequence=sequence)
    here.say()
    refused = run("close", "--day", DAY)
    assert refused.exit_code == 1, refused.output
    assert "stays open: it waits for spool" in refused.output
    ship(tmp_path, here)
    assert run("compact", "--day", DAY).exit_code == 2
    here.say()
    closed = json.loads(run("close", "--day", DAY, "--json").stdout)
    assert [(each["route"], each["inferences"], each["lost"]) for each in closed[0]["routes"]] == [("fraud", 40, 0)]
    assert files.read(marker_key(DAY)) is not None

    done = json.loads(run("compact", "--day", DAY, "--json", "--keep-min", 60).stdout)["compacted"]
    assert [(each["rows"], each["inputs"], each["outputs"], each["wide_columns"]) for each in done] == [(40, 4, 1, 2)]
    assert numbers(files) == sorted(2 * [*range(40)])  # old and new ones, for readers that have listed the old ones
    assert numbers(files, "wide") == list(range(40))

    here.log(rows(40, 43), sequence=4)
    ship(tmp_path, here)
    assert "is not closed" in run("compact", "--day", DAY).output
    closed = json.loads(run("close", "--day", DAY, "--json").stdout)
    assert closed[0]["late_files"] == 1
    assert [(each["inferences"], each["lost"]) for each in closed[0]["routes"]] == [(42, 2)]
    done = json.loads(run("compact", "--day", DAY, "--json", "--keep-min", 0).stdout)["compacted"]
    assert (done[0]["rows"], done[0]["inputs"], done[0]["removed"]) == (42, 2, 4 + 3)
    assert numbers(files) == numbers(files, "wide") == [*range(41), 43]
    assert json.loads(run("compact", "--day", DAY, "--json").stdout)["compacted"] == []
