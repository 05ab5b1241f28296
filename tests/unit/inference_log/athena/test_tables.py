"""Athena's tables: their columns are those of the log, and 1,000 routes keep within the limits of Athena and Glue."""

import pyarrow as pa
import pytest
import sqlglot
from botocore.exceptions import ClientError

from inference_log.athena.partitions import MOST, added, partition_statements
from inference_log.athena.statement import Statement
from inference_log.athena.tables import MAX_BYTES, database_statement, has_routes, table_statements, type_name
from inference_log.athena.views import view_statements
from inference_log.errors import StatementFailed
from inference_log.files.directory import DirectoryFiles
from inference_log.s3.athena import Athena
from inference_log.schema import INFERENCES, TABLES

LOCATION = "s3://logs/it's/here"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_the_columns_of_the_log_in_their_order(table):
    made = {each.name: sqlglot.parse_one(each.sql, read="athena") for each in table_statements(LOCATION)}
    for suffix in ("raw", "all") if has_routes(table) else ("raw",):
        schema = made[f"{table.name}_{suffix}"].this
        found = {each.name: each.kind.sql("hive").lower().replace(" ", "") for each in schema.expressions}
        assert {name: found[name] for name in table.columns.names} == {
            column.name: type_name(column.type) for column in table.columns
        }
        assert list(found)[: len(table.columns)] == table.columns.names


def test_a_route_is_injected_and_a_day_is_projected_from_a_template():
    made = {each.name: each.sql for each in table_statements("s3://logs/p/")}
    assert "'projection.route.type' = 'injected'" in made["inferences_raw"]
    assert "'projection.dt.range' = '2026-01-01,NOW+1DAYS'" in made["inferences_raw"]
    assert "= 's3://logs/p/inferences/route=${route}/dt=${dt}/'" in made["inferences_raw"]
    assert "PARTITIONED BY (`route` string, `dt` string)" in made["inferences_raw"]
    assert "route" not in made["audit_raw"].partition("TBLPROPERTIES")[2]
    assert "projection" not in made["inferences_all"]
    names = [
        f"{table.name}_{kind}" for table in TABLES for kind in ("raw", "all") if kind == "raw" or has_routes(table)
    ]
    assert list(made) == [each for name in names for each in (f"drop {name}", name)]


def test_a_type_that_athena_lacks_is_an_error():
    with pytest.raises(KeyError):
        type_name(pa.uint8())


def test_a_thousand_routes_keep_within_the_limits():
    """Tables and views do not grow with routes. Partitions are registered 100 at a time, as Glue takes them."""
    partitions = [(f"{'r' * 50}{number:04}", f"2026-01-{day:02}") for number in range(1000) for day in range(1, 11)]
    statements = list(added(INFERENCES, partitions, "s3://" + "b" * 63 + "/" + "p" * 900))
    assert len(statements) == len(partitions) // MOST
    everything = [*statements, *table_statements(LOCATION), *view_statements()]
    assert max(len(each.sql.encode()) for each in everything) < MAX_BYTES
    assert statements[0].sql.count("PARTITION (") == MOST
    sqlglot.parse_one(statements[0].sql, read="athena")


def test_partitions_are_those_of_which_there_are_files(tmp_path):
    for key in ("inferences/route=a/dt=2026-01-02", "rewards/route=a/dt=2026-01-03", "audit/dt=2026-01-02"):
        (tmp_path / key).mkdir(parents=True)
        (tmp_path / key / "w-0.parquet").write_bytes(b"")
    assert list(partition_statements(DirectoryFiles(tmp_path), "s3://b/p")) == [
        Statement(
            "partitions of inferences_all, 1",
            "ALTER TABLE `inferences_all` ADD IF NOT EXISTS\n"
            "  PARTITION (`route` = 'a', `dt` = '2026-01-02') LOCATION 's3://b/p/inferences/route=a/dt=2026-01-02/'",
        ),
        Statement(
            "partitions of rewards_all, 1",
            "ALTER TABLE `rewards_all` ADD IF NOT EXISTS\n"
            "  PARTITION (`route` = 'a', `dt` = '2026-01-03') LOCATION 's3://b/p/rewards/route=a/dt=2026-01-03/'",
        ),
    ]


def test_a_database_has_a_name_that_athena_takes():
    assert database_statement("pointsman").sql == "CREATE DATABASE IF NOT EXISTS `pointsman`"
    with pytest.raises(ValueError, match="small letters"):
        database_statement("x`; DROP")


class Client:
    """Athena's API, as boto3 shows it: each query is queued once, runs once, and then is in its last state."""

    def __init__(self, **ends) -> None:
        self.started, self._ends, self._asked = [], ends, {}

    def start_query_execution(self, **request):
        if request["QueryString"] == "refused":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "StartQueryExecution")
        self.started.append(request)
        return {"QueryExecutionId": str(len(self.started))}

    def get_query_execution(self, *, QueryExecutionId: str):  # noqa: N803  # boto3's name
        asked = self._asked[QueryExecutionId] = self._asked.get(QueryExecutionId, 0) + 1
        text = self.started[int(QueryExecutionId) - 1]["QueryString"]
        last = self._ends.get(text, {"State": "SUCCEEDED"})
        return {"QueryExecution": {"Status": [{"State": "QUEUED"}, {"State": "RUNNING"}, last][min(asked, 3) - 1]}}


def test_statements_are_run_one_after_the_other():
    client, said, slept = Client(), [], []
    athena = Athena(client, "db", "analysts", "s3://results/", sleep=slept.append)
    statements = [Statement("first", "CREATE DATABASE x", in_database=False), Statement("second", "SELECT 1")]
    assert athena.run(statements, said.append) == 2
    assert said == ["first", "second"]
    where = {"WorkGroup": "analysts", "ResultConfiguration": {"OutputLocation": "s3://results/"}}
    assert client.started == [
        {"QueryString": "CREATE DATABASE x", **where},
        {"QueryString": "SELECT 1", "QueryExecutionContext": {"Database": "db"}, **where},
    ]
    assert slept == [0.2, 0.4] * 2


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("failed", "Athena did not run it: line 1:2: no such table."),
        ("cancelled", "Athena did not run it: cancelled."),
        ("refused", r"Athena did not run it: .*\(AccessDenied\).*not you."),
        ("hangs", r"Athena did not run it: it still runs after 6\d\d s \(1\)."),
    ],
)
def test_what_goes_wrong_is_a_sentence(sql, sentence):
    ends = {
        "failed": {"State": "FAILED", "StateChangeReason": "line 1:2: no such table."},
        "cancelled": {"State": "CANCELLED"},
        "hangs": {"State": "RUNNING"},
    }
    client = Client(**ends)
    with pytest.raises(StatementFailed, match=f"^{sentence}$"):
        Athena(client, "db", sleep=lambda _: None).run([Statement("it", sql), Statement("next", "x")], lambda _: None)
    assert len(client.started) <= 1
