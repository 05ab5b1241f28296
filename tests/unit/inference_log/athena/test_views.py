"""Athena's views: Trino's grammar has them, their columns exist, and on DuckDB they say what today's views say."""

import random

import msgspec
import pytest

from inference_log.athena.views import typed_view, view_name, view_queries, view_statements
from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.query import run_query
from inference_log.schema import TABLES
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink
from router.rewards.events import MAX_EVENTS, Operation
from router.spec.metric import MetricSpec
from tests.support.athena_sql import checked, parse, tables
from tests.unit.inference_log.athena.support import connect
from tests.unit.inference_log.conftest import NOON_US
from tests.unit.inference_log.test_labelled import METRICS, audit, context, record, reward, write

DECISIONS = 150
COLUMNS = "decision_id, metric, {value}, label, is_default, matured, {late}, late_label"


def ship(home) -> None:
    Shipper(home / "spool", LocalConverter(DirectorySink(home / "log"))).tick()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a home in which all kinds of reports came in all orders, late and repeated."""
    home, dice = tmp_path_factory.mktemp("log"), random.Random(11)  # noqa: S311  # no secret
    rewards = []
    for number in range(DECISIONS):
        for metric in METRICS:
            for _ in range(dice.choice([0, 1, 1, 2, 5, 9])):
                values = ["cat", "dog", 3.0] if metric.is_label else [-2.0, 0.0, 0.25, 1.0, 5.0]
                said = {
                    "decision_id": f"d{number}", "metric": metric.name, "event": dice.choice("abc"),
                    "value": dice.choice(values),
                    "operation": dice.choice(list(Operation)), "event_us": NOON_US + dice.randrange(4),
                    "is_late": dice.random() < 0.25,
                }  # fmt: skip
                rewards += [said] * dice.choice([1, 1, 2])
    dice.shuffle(rewards)
    many = [
        {"decision_id": "many", "metric": "sum", "event": f"e{number:02}", "value": 0.001 * number, "event_us": NOON_US}
        for number in range(MAX_EVENTS + 5)
    ]
    many += [
        {"decision_id": "many", "metric": "sum", "event": f"late{number}", "value": 0.1, "is_late": True}
        for number in range(3)
    ]
    entries = [reward(number, **each) for number, each in enumerate([*rewards, *reversed(many)])]
    half = len(entries) // 2
    declared = audit((*METRICS, MetricSpec("net", 60.0, -1.0, 1.0, formula="sum - 0.1 * latency_ms", parts=("sum",))))
    again = audit((MetricSpec("other", 604800.0, default=0.5),), number=2, at_us=NOON_US + 10**9)
    records = [*(record(f"d{number}") for number in range(DECISIONS)), record("many")]
    after = record("after", event_us=NOON_US + 2 * 10**9)
    write(home / "spool" / "0", [declared, again, *records, after, *entries[:half]], 0)
    write(home / "spool" / "0", entries[half:], 1)
    ship(home)
    return home


@pytest.fixture(scope="module")
def athena(home):
    with connect(home / "log") as connection:
        yield connection


def both(home, athena, sql):
    """Return the rows of a query by today's views, and by those of Athena."""
    return run_query(DirectoryFiles(home / "log"), home / "spool", sql)[1], athena.execute(sql).fetchall()


def test_every_view_is_trinos_and_has_only_columns_that_exist():
    known = tables()
    for (name, sql), statement in zip(view_queries(), view_statements(), strict=True):
        parse(statement.sql)
        known[name] = {each.alias_or_name: each.type.sql("athena") for each in checked(sql, known).selects}
    assert {"inferences", "labelled", "first_exposures", "metrics", "loss"} <= known.keys()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_view_has_all_columns_of_its_table_and_each_row_once(home, athena, table):
    names = [column[0] for column in athena.execute(f"FROM {table.name} LIMIT 0").description]
    assert names == [*table.columns.names, *table.keys]
    ours, theirs = both(home, athena, f"SELECT count(*) FROM {table.name}")
    assert ours == theirs
    if table.name == "rewards":
        assert theirs < athena.execute("SELECT count(*) FROM rewards_raw").fetchall()


def test_metrics_are_those_that_the_documents_declare(home, athena):
    """Athena has no window for a metric that is computed from others: it is not reported."""
    columns = (
        "route, policy_version, since_us, until_us, metric, low, high, default_value, aggregate, formula, is_label"
    )
    columns += ", is_label, CASE WHEN formula IS NULL THEN window_s END"
    ours, theirs = both(home, athena, f"SELECT {columns} FROM metrics ORDER BY ALL")
    assert len(ours) == len(METRICS) + 2
    assert ours == theirs


def test_labelled_says_the_same_to_the_last_bit_but_for_sums(home, athena):
    """Today's view adds exactly; Athena's may be off by the last bits of a double."""
    rounded = COLUMNS.format(value="round(value, 9)", late="round(late_value, 9)")
    ours, theirs = both(home, athena, f"SELECT {rounded} FROM labelled ORDER BY decision_id, metric")
    assert len(ours) == (DECISIONS + 1) * len(METRICS) + 1
    assert ours == theirs
    is_late = [row for row in ours if row[6] is not None or row[7] is not None]
    assert len(is_late) > DECISIONS
    assert {row[3] for row in ours} == {None, "cat", "dog", "3"}
    exact = COLUMNS.format(value="value", late="late_value")
    ours, theirs = both(home, athena, f"SELECT {exact} FROM labelled WHERE metric <> 'sum' ORDER BY ALL")
    assert ours == theirs


def test_first_exposures_are_the_same(tmp_path):
    dice = random.Random(3)  # noqa: S311  # no secret
    records = [
        msgspec.structs.replace(
            record(f"d{number}", dice.choice([1, 2]), reason=dice.choice(["STICKY", "STICKY", "WEIGHTED"])),
            event_us=NOON_US + dice.randrange(50),
            unit_hash=dice.choice(["ada", "bob", "cy", None]),
            propensity=dice.choice([0.2, 0.8]),
        )
        for number in range(60)
    ]
    write(tmp_path / "spool" / "0", [context(2, arm="stable"), *records])
    ship(tmp_path)
    with connect(tmp_path / "log") as athena:
        ours, theirs = both(tmp_path, athena, "SELECT * FROM first_exposures ORDER BY ALL")
    assert len(ours) == 3
    assert any(row[7] for row in ours)
    assert ours == theirs


def test_loss_counts_the_records_of_a_writer_that_are_not_there(home, athena, tmp_path):
    assert both(home, athena, "SELECT writer_id, lost > 0 FROM loss")[0] == [("w", True)]  # all entries have number 0
    records = [record(f"d{number}") for number in range(5)]
    numbered = [
        msgspec.structs.replace(each, writer_seq=number) for number, each in enumerate(records) if number not in (1, 3)
    ]
    write(tmp_path / "spool" / "0", [*numbered, reward(5)])
    ship(tmp_path)
    with connect(tmp_path / "log") as lossy:
        ours, theirs = both(tmp_path, lossy, "SELECT writer_id, written, found, lost FROM loss")
    assert ours == theirs == [("w", 6, 4, 2)]


def test_a_typed_view_has_a_column_for_each_feature_and_prediction():
    statement = typed_view("fraud-eu", ["Amount", "amount", "it's", "arm"], ["Country"], 2)
    parse(statement.sql)
    known = {"inferences": tables()["inferences_raw"]}
    columns = [each.alias_or_name for each in checked(statement.sql.partition(" AS\n")[2], known).selects]
    assert statement.name == view_name("fraud-eu") == "route_fraud_eu"
    assert columns[-7:] == ["amount", "amount_2", "it_s", "arm_2", "country", "prediction_0", "prediction_1"]
    assert "element_at(features_num, 'it''s') AS \"it_s\"" in statement.sql
    assert 'element_at(prediction, 1) AS "prediction_0"' in statement.sql
    assert "features_num" not in columns


def test_the_search_for_mistakes_finds_them():
    known = {"inferences": tables()["inferences_raw"]}
    with pytest.raises(AssertionError, match="text is compared with a time"):
        checked("SELECT 1 AS x FROM inferences WHERE dt >= DATE '2026-01-01'", known)
    with pytest.raises(AssertionError, match="integer is divided"):
        checked("SELECT writer_seq / 2 AS x FROM inferences", known)
