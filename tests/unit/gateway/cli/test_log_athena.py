"""`pointsman log ddl`, `log queries`, and named queries: what they print and run, and their exit codes."""

import json
import time

import pytest

from inference_log.files.directory import DirectoryFiles
from router.document.apply import apply
from router.document.commands import Declare
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.sqlite.store import SQLiteStore
from tests.support import linear
from tests.support.athena_sql import parse
from tests.support.logged_bandit import LoggedBandit
from tests.unit.inference_log.athena.test_tables import Client

NOW_S = int(time.time()) // 86_400 * 86_400


def declare(tmp_path, arms):
    store = SQLiteStore(tmp_path / "pointsman.db")
    document = apply(None, Declare(parse_spec({"route": "fraud", "arms": arms, "split": dict.fromkeys(arms, "50%")})))
    store.compare_and_set([Entry(document, Change("ann", 0.0, "apply"))])
    store.close()


def test_the_statements_are_printed_in_the_order_in_which_they_must_run(run):
    shown, as_json = (
        run("log", "ddl", "--location", "s3://logs/p"),
        run("log", "ddl", "--location", "s3://logs/p", "--json"),
    )
    assert (shown.exit_code, as_json.exit_code) == (0, 0), shown.output
    statements = json.loads(as_json.stdout)
    names = [each["name"] for each in statements]
    assert names[0] == "database pointsman"
    assert names.index("inferences_raw") < names.index("inferences") < names.index("labelled")
    assert names.index("metrics") < names.index("labelled")
    assert shown.stdout.count(";\n\n") == len(statements)
    assert all(each["sql"] in shown.stdout for each in statements)


def test_a_log_in_a_directory_or_a_wrong_name_is_refused(run):
    nowhere, wrong = run("log", "ddl"), run("log", "ddl", "--location", "s3://logs", "--database", "my-db")
    assert (nowhere.exit_code, wrong.exit_code) == (1, 1)
    assert "Athena reads S3, and the log is in" in nowhere.output
    assert "small letters" in wrong.output


def test_the_partitions_are_those_of_the_log(run, tmp_path, monkeypatch):
    folder = tmp_path / "log" / "inferences" / "route=r" / "dt=2026-01-02"
    folder.mkdir(parents=True)
    (folder / "w-0.parquet").write_bytes(b"")
    monkeypatch.setattr("inference_log.files.open.open_files", lambda _: DirectoryFiles(tmp_path / "log"))
    result = run("log", "ddl", "--partitions", "--location", "s3://logs/p")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("PARTITION (") == 1
    assert "LOCATION 's3://logs/p/inferences/route=r/dt=2026-01-02/';" in result.stdout


def test_the_view_of_a_route_has_the_features_of_its_models(run, tmp_path):
    linear.fill(tmp_path / "models")
    declare(tmp_path, {"a": "linear:1", "b": "linear:2"})
    result = run("log", "ddl", "--route", "fraud")
    assert result.exit_code == 0, result.output
    parse(result.stdout.strip().removesuffix(";"))
    assert result.stdout.startswith("CREATE OR REPLACE VIEW route_fraud AS\n")
    assert result.stdout.count("element_at(features_num, ") == 4
    assert result.stdout.count("element_at(prediction, ") == 2
    unknown = run("log", "ddl", "--route", "nothing")
    assert (unknown.exit_code, "There is no route nothing." in unknown.output) == (1, True)


def test_applied_statements_are_run_and_named(run, monkeypatch):
    client = Client()
    monkeypatch.setattr("inference_log.s3.athena.connect_athena", lambda: client)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("inference_log.s3.athena._FIRST_PAUSE_S", 0.0)
    result = run("log", "ddl", "--location", "s3://logs/p", "--apply", "--workgroup", "w", "--output", "s3://results/")
    assert result.exit_code == 0, result.output
    assert f"{len(client.started)} statements were run in database pointsman." in result.stdout
    assert client.started[0]["QueryString"] == "CREATE DATABASE IF NOT EXISTS `pointsman`"
    assert {each["WorkGroup"] for each in client.started} == {"w"}


def test_a_named_query_runs_over_the_log_or_is_printed_as_athena_takes_it(run, tmp_path):
    declared = {"route": "shop", "arms": {"a": "r:1", "b": "r:2"}, "split": {"a": "50%", "b": "50%"}}
    LoggedBandit(tmp_path, declared | {"metrics": {"click": {"window": "1m"}}}, {"a": 0.1, "b": 0.1}).decide(50, NOW_S)
    ran = run("log", "query", "--named", "arm_comparison", "--route", "shop", "--json")
    assert ran.exit_code == 0, ran.output
    assert sum(row["requests"] for row in json.loads(ran.stdout)) == 50
    printed = run("log", "query", "--named", "arm_comparison", "--route", "shop", "--since", "1d", "--print")
    parse(printed.stdout)
    yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400))
    assert f"WHERE route = 'shop' AND dt >= '{yesterday}'" in printed.stdout
    sql = "SELECT count_if(element_at(weights, 'a') = 0.5) AS n FROM inferences"
    assert run("log", "query", "--athena", sql).stdout.split() == ["n", "50"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Give either SQL, or --named"),
        (["SELECT 1", "--named", "drift"], "Give either SQL, or --named"),
        (["--named", "nothing"], "There is no query nothing; there are arm_comparison"),
        (["--named", "drift", "--route", "r"], "Query drift needs --set feature=…"),
        (["--named", "drift", "--route", "r", "--set", "feature"], "--set takes NAME=VALUE"),
        (["--named", "drift", "--route", "r", "--since", "soon"], "--since must be a duration"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(run, arguments, sentence):
    result = run("log", "query", *arguments)
    assert result.exit_code == 1
    assert sentence in result.output


def test_all_named_queries_are_listed(run):
    result = run("log", "queries")
    assert result.exit_code == 0, result.output
    assert "drift  (feature, route, since)" in result.stdout
    assert result.stdout.count("  Scans: ") >= 12
