"""The same Parquet files give the same counts and sums to DuckDB, PyArrow, Spark and the SQL of Athena."""

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from inference_log.athena.tables import type_name
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.schema import INFERENCES
from inference_log.stored import dataset, stored_by_keys
from tests.conformance.environments import Unavailable, ensure
from tests.support.components import by_hand, missing
from tests.support.logged_bandit import BANDIT, BEGAN_S, LoggedBandit
from tests.unit.inference_log.athena.support import connect

SPLIT = {key: value for key, value in BANDIT.items() if key != "bandit"} | {
    "split": {"a": "20%", "b": "30%", "c": "50%"}
}
DAYS, DECISIONS = 3, 200
QUERIES = {
    "arms": "SELECT route, dt, arm, count(*), sum(event_ts_us - 1767000000000000), round(sum(propensity), 6), "
    "round(sum(weights['c']), 6) FROM inferences{raw} GROUP BY route, dt, arm ORDER BY route, dt, arm",
    "times": "SELECT CAST(min(event_ts) AS VARCHAR(30)), CAST(max(event_ts) AS VARCHAR(30)), count(DISTINCT event_ts) "
    "FROM inferences{raw}",
    "rewards": "SELECT route, metric, count(*), sum(value), count(DISTINCT decision_id) FROM rewards{raw} "
    "GROUP BY route, metric ORDER BY route, metric",
    "audit": "SELECT route, count(*), sum(length(document)) FROM audit{raw} GROUP BY route ORDER BY route",
}
"""Each in words that all dialects have. `{raw}` is the table of files, where rows are not deduplicated."""
_PROGRAM = Path(__file__).parent / "spark_program.py"
_LIMIT_S = 800
pytestmark = pytest.mark.timeout(900)  # the machine may be slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a home of two routes and three days."""
    home = tmp_path_factory.mktemp("log")
    for route in ("shop", "other"):
        logged = LoggedBandit(home, SPLIT | {"route": route}, name=f"w-{route}")
        for day in range(DAYS):
            logged.decide(DECISIONS, BEGAN_S + 86_400 * day)
            logged.ship()
    return home


@pytest.fixture(scope="module")
def ours(home):
    """Return the answers of DuckDB, by the command's own way."""
    files = DirectoryFiles(home / "log")
    found = {name: run_query(files, home / "spool", sql.format(raw=""))[1] for name, sql in QUERIES.items()}
    assert sum(row[3] for row in found["arms"]) == 2 * DAYS * DECISIONS
    return found


def same(answers: dict[str, Any]) -> dict[str, Any]:
    """Return answers as JSON has them."""
    return json.loads(json.dumps({name: [list(row) for row in rows] for name, rows in answers.items()}, default=str))


def test_athenas_views_give_the_same(home, ours):
    with connect(home / "log") as connection:
        found = {name: connection.execute(sql.format(raw="")).fetchall() for name, sql in QUERIES.items()}
    assert same(found) == same(ours)


def test_pyarrow_gives_the_same(home, ours):
    """PyArrow reads the folders itself, as any tool of Python would, and the dataset that we make of them."""
    files = DirectoryFiles(home / "log")
    plain = ds.dataset(f"{home}/log/inferences", format="parquet", partitioning=ds.partitioning(flavor="hive"))
    for each in (plain, dataset(files, INFERENCES, stored_by_keys(files, INFERENCES))):
        sums = defaultdict(lambda: [0, 0, 0.0])
        names = ["route", "dt", "arm", "event_ts_us", "propensity"]
        for row in each.to_table(columns=names).to_pylist():
            of_arm = sums[row["route"], row["dt"], row["arm"]]
            of_arm[0] += 1
            of_arm[1] += row["event_ts_us"] - 1_767_000_000_000_000
            of_arm[2] += row["propensity"]
        found = [(*key, count, total, round(share, 6)) for key, (count, total, share) in sorted(sums.items())]
        assert found == [row[:6] for row in ours["arms"]]


@pytest.fixture(scope="module", params=[by_hand("spark")])
def spark(request, home) -> dict[str, Any]:
    """Return what Spark says. It is by hand, since its environment takes half a gigabyte."""
    if shutil.which("java") is None:
        missing("java is not installed (Debian, Ubuntu: apt-get install openjdk-17-jre-headless)")
    try:
        python = ensure(request.param)
    except Unavailable as error:
        missing(str(error))
    queries = {name: sql.format(raw="_raw") for name, sql in QUERIES.items()}
    done = subprocess.run(
        [python, _PROGRAM, home / "log", json.dumps(queries)],
        capture_output=True, text=True, check=False, timeout=_LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_spark_gives_the_same(ours, spark):
    assert spark["answers"] == same(ours)


def test_spark_sees_the_types_that_athena_is_told(spark):
    expected = {column.name: type_name(column.type) for column in INFERENCES.columns}
    found = {name: kind.replace("timestamp_ntz", "timestamp") for name, kind in spark["schema"].items()}
    assert found == expected | {"route": "string", "dt": "string"}
