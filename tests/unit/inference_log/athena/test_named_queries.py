"""The queries for analysts: Trino's grammar has them, their columns exist, and Athena's views give what ours give."""

import random

import duckdb
import pytest

from inference_log.athena.named_queries import named_queries, named_query
from inference_log.athena.translate import to_duckdb
from inference_log.errors import QueryRefused
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from tests.support.athena_sql import checked, parse, with_views
from tests.support.logged_bandit import BANDIT, BEGAN_S, LoggedBandit
from tests.unit.inference_log.athena.support import connect

VALUES = {"route": "shop", "since": "2026-01-02", "metric": "click", "arm": "c", "feature": "x"}
QUERIES = {each.name: each for each in named_queries()}
SPLIT = {key: value for key, value in BANDIT.items() if key != "bandit"} | {
    "split": {"a": "20%", "b": "30%", "c": "50%"}
}


def filled(name: str, **changes: str) -> str:
    values = VALUES | changes
    return named_query(name, {each: values[each] for each in QUERIES[name].parameters})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Return a home with two days before the time that is asked for, and three days of it."""
    home = tmp_path_factory.mktemp("log")
    logged = LoggedBandit(home, SPLIT, {"a": 0.1, "b": 0.2, "c": 0.3})
    for day in range(4):
        logged.decide(400, BEGAN_S + 86_400 * day, units=150 if day == 3 else 0)
    logged.ship()
    return home


@pytest.fixture(scope="module")
def athena(home):
    with connect(home / "log") as connection:
        yield connection


@pytest.fixture(scope="module")
def schema():
    return with_views()


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_says_what_it_answers_and_is_trinos(name, schema):
    query, sql = QUERIES[name], filled(name)
    assert query.answers.endswith(".")
    assert query.scans.endswith(".")
    assert query.parameters == () or "route" in query.parameters
    parse(sql)
    checked(sql, schema)


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_gives_the_same_over_the_views_of_athena(name, home, athena):
    sql = to_duckdb(filled(name))
    names, ours = run_query(DirectoryFiles(home / "log"), home / "spool", sql)
    theirs = athena.execute(sql).fetchall()
    assert len(names) > 2
    assert [tuple(map(_about, row)) for row in ours] == [tuple(map(_about, row)) for row in theirs]
    assert bool(ours) != (name in {"drift", "errors_by_kind", "shadows"})  # of which this log has nothing


def _about(value: object) -> object:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def asked(home, name, **changes):
    columns, rows = run_query(DirectoryFiles(home / "log"), home / "spool", to_duckdb(filled(name, **changes)))
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_the_days_before_are_left_out(home):
    assert sum(row["requests"] for row in asked(home, "arm_comparison")) == 1200
    assert sum(row["requests"] for row in asked(home, "arm_comparison", since="2026-01-04")) == 400


def test_the_shares_are_as_promised_and_weights_add_up(home):
    ratio = asked(home, "sample_ratio")
    assert sum(row["observed"] for row in ratio) == pytest.approx(sum(row["expected"] for row in ratio))
    assert all(0.001 < row["p_value"] < 0.999 for row in ratio)
    for row in asked(home, "propensity_check"):
        assert (row["not_the_weight"], row["ratio"]) == (0, pytest.approx(1, abs=0.2))


@pytest.mark.parametrize(("observed", "p_value"), [((520, 480), 0.2059), ((560, 440), 0.000148), ((500, 500), 1.0)])
def test_p_values_are_those_of_the_chi_squared_distribution(tmp_path, observed, p_value):
    """The true ones are from scipy.stats.chi2.sf. With one degree of freedom the approximation is at its worst."""
    rows = ", ".join(f"('{arm}', {count})" for arm, count in zip("ab", observed, strict=True))
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f"CREATE TABLE inferences AS SELECT 'shop' AS route, '2026-01-02' AS dt, 'primary' AS role, arm, "
            "'WEIGHTED' AS reason, 0.5 AS propensity, MAP {'a': 0.5, 'b': 0.5} AS weights, NULL::VARCHAR AS unit_hash, "
            f"arm || n AS decision_id, n AS event_ts_us, 0 AS instance_index FROM (VALUES {rows}) t(arm, many), "
            "range(many) r(n)"
        )
        found = connection.execute(to_duckdb(filled("sample_ratio"))).fetchall()
    assert found[0][-1] == pytest.approx(p_value, rel=0.25, abs=0.02)


def test_a_feature_that_moved_has_drifted(tmp_path):
    dice = random.Random(5)  # noqa: S311  # no secret
    days = {"2026-01-02": 0.0, "2026-01-03": 0.0, "2026-01-04": 1.0}
    rows = ", ".join(f"('{dt}', {dice.gauss(mean, 1)})" for dt, mean in days.items() for _ in range(1000))
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "CREATE TABLE inferences AS SELECT 'shop' AS route, dt, 'primary' AS role, "
            f"MAP {{'x': x}} AS features_num FROM (VALUES {rows}) t(dt, x)"
        )
        found = connection.execute(to_duckdb(filled("drift"))).fetchall()
    assert [(dt, count) for dt, count, _ in found] == [(dt, 1000) for dt in days]
    first, same, moved = (psi for _, _, psi in found)
    assert first == 0
    assert same < 0.05
    assert moved > 0.5


def test_off_policy_estimates_are_of_the_arm(home):
    (found,) = asked(home, "ips_and_snips")
    assert found["mean_weight"] == pytest.approx(1, abs=0.15)
    assert found["ips"] == pytest.approx(0.3, abs=4 * found["ips_error"])
    assert found["snips"] == pytest.approx(0.3, abs=0.08)


def test_what_is_lacking_or_too_much_is_said():
    for name, given, sentence in [
        ("nothing", {}, "There is no query nothing; there are arm_comparison, "),
        ("drift", {"since": "2026-01-01"}, "Query drift needs --set feature=… and --route."),
        ("loss_per_writer", {"route": "x"}, "Query loss_per_writer has no parameter route; it has none."),
    ]:
        with pytest.raises(QueryRefused, match=f"^{sentence}"):
            named_query(name, given)
    assert "element_at(features_num, 'it''s')" in filled("drift", feature="it's")


@pytest.mark.parametrize("sql", ["SELEKT 1 FROM", "SELECT 1; SELECT 2", ""])
def test_what_is_no_statement_of_athena_is_refused(sql):
    with pytest.raises(QueryRefused):
        to_duckdb(sql)
