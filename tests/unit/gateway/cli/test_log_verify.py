"""`pointsman log verify`: what it prints, and its exit code."""

import json
from collections.abc import Iterator

import pytest

from router.document.apply import apply
from router.document.commands import Declare
from router.evidence.sums import REQUESTS, SumKey
from router.spec.parse import parse_spec
from store.entry import Change, Entry
from store.sqlite.store import SQLiteStore
from tests.unit.inference_log.completeness.support import CONTEXT, Machine, record, rows


@pytest.fixture
def store(tmp_path) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "pointsman.db")
    document = apply(None, Declare(parse_spec({"route": "fraud", "arms": {"a": "m:1"}, "split": {"a": "100%"}})))
    opened.compare_and_set([Entry(document, Change("ann", 0.0, "apply"))])
    yield opened
    opened.close()


def test_an_empty_log_agrees_with_a_store_without_sums(run, store):
    result = run("log", "verify")
    assert (result.exit_code, result.stdout.splitlines()[-1].partition(";")[0]) == (
        0, "The log and the store agree in all 0 sums",
    )  # fmt: skip


def test_what_differs_is_a_table_or_json_and_the_exit_code_is_1(run, store):
    store.count("w-1.segment", 0, 100, {"fraud": {SumKey(0, 1, "a", "1", "", REQUESTS): 3}})
    shown, as_json = run("log", "verify"), run("log", "verify", "--json")
    assert (shown.exit_code, as_json.exit_code) == (1, 1)
    assert "1 of 1 sums differ" in shown.stdout
    verified = json.loads(as_json.stdout)
    assert verified["equal"] is False
    assert verified["differences"] == [
        {"route": "fraud", "policy_version": 1, "arm": "a", "model_version": "1", "metric": "", "group": None,
         "store": {"requests": 3}, "log": {"requests": 0}}
    ]  # fmt: skip


def test_rows_that_are_lost_are_told_from_the_log_alone(run, store, tmp_path):
    here = Machine(tmp_path / "log", tmp_path / "elsewhere", record, CONTEXT)
    here.log(rows(0, 1, 4))
    here.ship()
    shown, as_json = run("log", "verify"), json.loads(run("log", "verify", "--json").stdout)
    assert "2 rows are lost: no row of the log has their number." in shown.stdout
    assert as_json["lost"] == [
        {"writer_id": "w-1", "route": "fraud", "dropped": 2, "torn": 0, "segments": 0, "unknown": 0}
    ]


def test_a_store_that_cannot_be_read_is_a_sentence_and_exit_code_2(run, monkeypatch):
    monkeypatch.setenv("POINTSMAN_STORE", "redis://127.0.0.1:1/0")
    result = run("log", "verify")
    assert result.exit_code == 2
    assert "pointsman:" in result.output
