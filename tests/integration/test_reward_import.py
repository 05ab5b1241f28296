"""Import into a real gateway, from a file and from S3: what the log leads to is counted, and the log agrees."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.support import linear
from tests.support.gateway_process import GatewayProcess, running
from tests.support.paths import ROOT
from tests.support.polling import wait_until

ROUTE = {
    "route": "learns",
    "unit": "header:x-customer",
    "arms": {"a": "linear:1", "b": "linear:2"},
    "split": {"a": "50%", "b": "50%"},
    "metrics": {"click": {"window": "1h"}, "revenue": {"window": "1h", "range": [0, 500], "aggregate": "sum"}},
}
X = [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]
CUSTOMERS = 20


def command(gateway: GatewayProcess, *arguments: str, **environment: str) -> Any:
    """Run a command of the gateway's home and return what it prints as JSON."""
    ran = subprocess.run(
        [sys.executable, "-c", "from gateway.cli.main import main; main()", *arguments, "--json"],
        env={**os.environ, "POINTSMAN_HOME": str(gateway.home), "POINTSMAN_URL": gateway.url, **environment},
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def table(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.fixture
def learning(tmp_path):
    models = str(linear.fill(tmp_path / "models"))
    made = GatewayProcess(tmp_path / "var", "serve", POINTSMAN_ENGINE="uvicorn", POINTSMAN_REGISTRY=models)
    with running(made):
        made.declare(ROUTE)
        for number in range(2 * CUSTOMERS):
            answered = httpx.post(
                f"{made.url}/v2/models/learns/infer", json={"id": f"00{number}", "inputs": X}, timeout=60,
                headers={"x-customer": f"c{number % CUSTOMERS}"}, trust_env=False,
            )  # fmt: skip
            assert answered.status_code == 200, answered.text
        wait_until(lambda: asked(made, "SELECT count(*) AS n FROM metrics")[0]["n"] == 2)
        yield made


def asked(gateway: GatewayProcess, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = command(gateway, "log", "query", sql)
    return found


def test_outcomes_of_files_and_buckets_are_in_the_sums_the_log_and_the_view(
    learning: GatewayProcess, tmp_path: Path, s3_server
) -> None:
    clicks = tmp_path / "clicks.csv"
    clicks.write_bytes(table([{"rid": f"00{number}", "value": number % 2} for number in range(2 * CUSTOMERS)]))
    by_request = ("reward", "import", str(clicks), "--route", "learns", "--metric", "click", "--key", "request_id",
                  "--column", "rid")  # fmt: skip
    assert command(learning, *by_request)["counted"] == 2 * CUSTOMERS
    again = command(learning, *by_request)
    assert (again["counted"], again["duplicate"]) == (0, 2 * CUSTOMERS)

    orders = table([{"customer": f"c{number}", "amount": 2.5} for number in range(CUSTOMERS)])
    client = boto3.client("s3", endpoint_url=s3_server.url, region_name="us-east-1",
                          aws_access_key_id=s3_server.environment["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=s3_server.environment["AWS_SECRET_ACCESS_KEY"])  # fmt: skip
    client.put_object(Bucket="models", Key="bought/orders.csv", Body=orders)
    report = command(
        learning, "reward", "import", "s3://models/bought/orders.csv", "--route", "learns", "--metric", "revenue",
        "--key", "unit", "--column", "customer", "--value-column", "amount", "--rule", "last", **s3_server.environment,
    )  # fmt: skip
    assert (report["matched"], report["counted"], report["unmatched"]) == (CUSTOMERS, CUSTOMERS, 0)

    verified = command(learning, "log", "verify")
    assert verified["equal"], verified
    sql = "SELECT metric, sum(value) AS total, sum(is_default::INT) AS defaults FROM labelled GROUP BY 1 ORDER BY 1"
    assert asked(learning, sql) == [
        {"metric": "click", "total": CUSTOMERS, "defaults": 0},
        {"metric": "revenue", "total": 2.5 * CUSTOMERS, "defaults": CUSTOMERS},
    ]
    sources = asked(learning, "SELECT source, count(*) AS n FROM every_reward GROUP BY 1 ORDER BY 1")
    assert sources == [
        {"source": f"import {clicks}"[-207:], "n": 4 * CUSTOMERS},
        {"source": "import s3://models/bought/orders.csv", "n": CUSTOMERS},
    ]
