"""`pointsman reward import`: files of every form, keys of every kind, over a real log, intake and store."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from gateway.cli.api_error import AnswerLost, ApiError
from gateway.cli.client import ApiClient
from gateway.companion.rewards.messages import Asked, Outcome
from gateway.inference.unit_secret import hash_unit, load_unit_secret
from inference_log.record import Audit, Context, Record, SegmentHeader
from inference_log.segment import frame
from router.document.stored import to_dict
from store.sqlite.store import SQLiteStore
from tests.unit.gateway.cli.support import refused
from tests.unit.gateway.companion.rewards.support import LIFE_US, NOON_US, Taken, document, sums, write

LATENCY_US = 2000
DAY_S = 86_400


def at(after_s: float) -> str:
    """Return a time so many seconds after noon."""
    return (datetime.fromtimestamp(NOON_US / 1e6, UTC) + timedelta(seconds=after_s)).isoformat()


class Imported:
    """A home whose log has decisions, and a gateway that has taken what was posted to it."""

    def __init__(self, home, run, taken: Taken) -> None:
        self.home, self.taken = home, taken
        self._run = run

    def decide(self, *decisions: dict[str, Any]) -> None:
        """Write decisions into the log, each with `id`, and `unit`, `request` and `after_s` if it has them."""
        specs = document().spec.metrics
        context = Context(
            0, "fraud", "canary", "primary", "split", 1, "h", {"canary": 0.1}, "fraud", "2", "d", metrics=specs
        )
        audit = Audit(
            1, "fraud", 1, LIFE_US, "ann", "apply", "", "h", "", {"canary": 0.1}, json.dumps(to_dict(document()))
        )
        secret = load_unit_secret(self.home)
        records = [
            Record(
                0, number, each["id"], 0, NOON_US + LATENCY_US + int(1e6 * each.get("after_s", 0)),
                each.get("reason", "WEIGHTED"), 0.1, hash_unit(each["unit"], secret) if "unit" in each else None, 200,
                each.get("outcome", "ok"), "", LATENCY_US, 9, 1, each.get("request", ""), "",
            )
            for number, each in enumerate(decisions)
        ]  # fmt: skip
        folder = self.home / "spool" / "0"
        folder.mkdir(parents=True)
        entries = (SegmentHeader("w", 0), audit, context, *records)
        (folder / "w-00000000.segment").write_bytes(b"".join(map(frame, entries)))

    def file(self, rows: list[dict[str, Any]], suffix: str = ".parquet") -> str:
        """Write a file of outcomes and return its path."""
        path = self.home / f"outcomes{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif suffix == ".csv":
            lines = [",".join(rows[0])] + [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
            path.write_text("\n".join(lines) + "\n")
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    def __call__(self, file: str, *options: str, metric: str = "click", key: str = "decision_id") -> Result:
        return self._run("reward", "import", file, "--route", "fraud", "--metric", metric, "--key", key, *options)

    def report(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return what an import prints as JSON."""
        result = self(*arguments, "--json", **options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def imported(run, tmp_path, monkeypatch):
    store = SQLiteStore(tmp_path / "pointsman.db", now=lambda: NOON_US / 1_000_000)
    write(store, document())
    taken = Taken(tmp_path / "spool", store)
    taken.look()

    def post(_: ApiClient, route: str, source: str, rewards: list[dict[str, Any]]) -> list[dict[str, Any]]:
        body = json.dumps({"source": source, "rewards": rewards}).encode()
        answered = taken.intake.answer(Asked("import", (route,), body))
        assert answered.outcome is Outcome.RESULTS, answered
        return json.loads(answered.content)["results"]

    monkeypatch.setattr(ApiClient, "import_rewards", post)
    monkeypatch.setattr("gateway.cli.reward_import._now_us", lambda: taken.now_us)
    yield Imported(tmp_path, run, taken)
    taken.writer.close()
    store.close()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_outcomes_of_every_form_are_counted_once_however_often_they_are_imported(imported, suffix):
    imported.decide({"id": "007"}, {"id": "1e3"}, {"id": "other"})
    rows = [{"id": "007", "value": 1}, {"id": "1e3", "value": 0.5}, {"id": "strange", "value": 1}]
    file = imported.file(rows, suffix)
    report = imported.report(file, "--column", "id")
    assert {name: report[name] for name in ("matched", "rewards", "unmatched", "unmatched_keys", "counted")} == {
        "matched": 2, "rewards": 2, "unmatched": 1, "unmatched_keys": ["strange"], "counted": 2,
    }  # fmt: skip
    assert sums(imported.taken.store)["canary", "click"][:2] == (2, 1_500_000)
    again = imported.report(file, "--column", "id")
    assert (again["counted"], again["duplicate"]) == (0, 2)
    assert sums(imported.taken.store)["canary", "click"][:2] == (2, 1_500_000)
    assert {each.source for each in imported.taken.logged()} == {f"import {file}"}


def test_what_the_log_says_of_the_decision_is_in_the_reward(imported):
    imported.decide({"id": "d", "unit": "ada", "reason": "STICKY"})
    imported.report(imported.file([{"decision_id": "d", "value": 1, "order": "A7", "t": at(30)}]), "--event-column",
                    "order", "--time-column", "t")  # fmt: skip
    (logged,) = imported.taken.logged()
    group = sums(imported.taken.store)
    assert (logged.decision_id, logged.decided_us, logged.latency_us) == ("d", NOON_US, LATENCY_US)
    assert (logged.propensity, logged.event, logged.event_us) == (0.1, "A7", NOON_US + 30_000_000)
    assert 0 <= logged.group < 64
    assert group["canary", "click"][0] == 1


def test_a_request_id_leads_to_its_decision(imported):
    imported.decide({"id": "d1", "request": "0042"}, {"id": "d2", "request": "43"})
    report = imported.report(imported.file([{"rid": "0042", "value": 1}], ".csv"), "--column", "rid", key="request_id")
    assert (report["counted"], imported.taken.logged()[0].decision_id) == (1, "d1")


VISITS = (
    {"id": "a", "unit": "ada", "after_s": 0},
    {"id": "b", "unit": "ada", "after_s": 20},
    {"id": "c", "unit": "ada", "after_s": 50},  # after the outcome
    {"id": "d", "unit": "bob", "after_s": 0},
)


@pytest.mark.parametrize(("rule", "decisions"), [("first", ["a"]), ("last", ["b"]), ("all", ["a", "b"])])
def test_of_a_units_decisions_before_the_outcome_a_rule_takes_one_or_all(imported, rule, decisions):
    imported.decide(*VISITS)
    file = imported.file([{"unit": "ada", "value": 1, "t": at(40)}])
    report = imported.report(file, "--time-column", "t", "--rule", rule, key="unit")
    assert (report["matched"], report["counted"]) == (1, len(decisions))
    assert [each.decision_id for each in imported.taken.logged()] == decisions


def test_a_key_with_several_decisions_is_refused_with_the_rule_that_would_decide(imported):
    imported.decide(*VISITS)
    file = imported.file([{"unit": "bob", "value": 1, "t": at(40)}, {"unit": "ada", "value": 1, "t": at(40)}])
    sentence = refused(imported(file, "--time-column", "t", key="unit"))
    assert "unit 'ada' has 2 decisions in the window of click" in sentence
    assert "--rule last" in sentence
    assert imported.taken.logged() == []
    alone = imported.report(imported.file([{"unit": "bob", "value": 1, "t": at(40)}]), "--time-column", "t", key="unit")
    assert alone["counted"] == 1


def test_a_units_decision_whose_window_was_over_gets_no_outcome(imported):
    imported.decide({"id": "a", "unit": "ada"})
    imported.taken.now_us = NOON_US + 2 * 3600 * 1_000_000
    file = imported.file([{"unit": "ada", "value": 1, "t": at(3601)}])
    assert imported.report(file, "--time-column", "t", "--rule", "all", key="unit")["unmatched"] == 1


def test_what_comes_after_the_window_is_late_and_in_no_sum(imported):
    imported.decide({"id": "a"})
    imported.taken.now_us = NOON_US + 100 * DAY_S * 1_000_000
    report = imported.report(imported.file([{"decision_id": "a", "value": 1}]))
    assert (report["late"], report["counted"]) == (1, 0)
    assert ("canary", "click") not in sums(imported.taken.store)
    assert [each.is_late for each in imported.taken.logged()] == [True]


def test_labels_are_texts_as_they_are_written(imported):
    imported.decide({"id": "a"}, {"id": "b"})
    rows = [{"decision_id": "a", "truth": "01"}, {"decision_id": "b", "truth": "2"}]
    report = imported.report(imported.file(rows, ".csv"), "--label-column", "truth", metric="was")
    assert (report["counted"], [each.value for each in imported.taken.logged()]) == (2, ["01", "2"])


def test_decisions_that_failed_or_are_not_there_get_no_reward(imported):
    imported.decide({"id": "a", "outcome": "error"})
    assert imported.report(imported.file([{"decision_id": "a", "value": 1}]))["unmatched_keys"] == ["a"]


def test_rows_without_a_key_or_an_outcome_are_counted_apart(imported):
    imported.decide({"id": "a"}, {"id": "b"})
    rows = [
        {"decision_id": "a", "value": None},
        {"decision_id": None, "value": 1.0},
        {"decision_id": "b", "value": 1.0},
    ]
    report = imported.report(imported.file(rows))
    assert (report["empty"], report["counted"], report["unmatched"]) == (2, 1, 0)


def test_a_value_out_of_range_is_refused_with_a_sentence_and_exit_code_1(imported):
    imported.decide({"id": "a"}, {"id": "b"})
    result = imported(imported.file([{"decision_id": "a", "value": 7}, {"decision_id": "b", "value": 1}]))
    assert result.exit_code == 1
    assert "it must lie in the range" in result.output
    assert "1 counted, 1 refused" in result.output


@pytest.mark.parametrize(
    ("rows", "options", "sentence"),
    [
        ([{"decision_id": "a", "value": "0.9"}], (), "does not hold numbers"),
        ([{"id": "a", "value": 1}], (), "has no column decision_id; it has id, value"),
        ([{"decision_id": "a", "value": 1, "t": "noon"}], ("--time-column", "t"), "cannot be read"),
        ([{"decision_id": "a", "value": 1}], ("--value-column", "value", "--label-column", "x"), "Name either"),
        ([{"decision_id": "a", "value": 1}], ("--rule", "newest"), "--rule must be first, last, all"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(imported, rows, options, sentence):
    imported.decide({"id": "a"})
    assert sentence in refused(imported(imported.file(rows), *options))
    assert imported.taken.logged() == []


def test_a_metric_that_no_version_declares_is_refused(imported):
    imported.decide({"id": "a"})
    for metric in ("clicks", "net"):
        sentence = refused(imported(imported.file([{"decision_id": "a", "value": 1}]), metric=metric))
        assert f"declares metric {metric} to be reported; there are click, revenue, was" in sentence


def test_without_the_key_of_units_no_unit_can_be_found(imported):
    imported.decide({"id": "a", "unit": "ada"})
    (imported.home / "secret").unlink()
    assert "secret" in refused(imported(imported.file([{"unit": "ada", "value": 1}]), key="unit"))
    assert not (imported.home / "secret").exists()


def test_files_that_are_not_there_or_of_no_known_form_are_refused(imported):
    assert "There is no file" in refused(imported("nothing.csv"))
    (imported.home / "a.xlsx").write_text("x")
    assert "must be .parquet, .csv" in refused(imported(str(imported.home / "a.xlsx")))
    assert "names no object" in refused(imported("s3://bucket"))


@pytest.mark.parametrize("error", [AnswerLost("lost"), ApiError("The store does not answer.", 503)])
def test_what_may_not_have_been_counted_is_sent_again(imported, monkeypatch, error):
    post, failures = ApiClient.import_rewards, [error]

    def fail_first(*arguments: Any) -> list[dict[str, Any]]:
        results = post(*arguments)
        if failures:
            raise failures.pop()
        return results

    monkeypatch.setattr(ApiClient, "import_rewards", fail_first)
    monkeypatch.setattr("gateway.cli.reward_import._PAUSE_S", 0.0)
    imported.decide({"id": "a"})
    report = imported.report(imported.file([{"decision_id": "a", "value": 1}]))
    assert report["duplicate"] == 1  # its answer was lost
    assert sums(imported.taken.store)["canary", "click"][:2] == (1, 1_000_000)


def test_where_no_gateway_answers_nothing_is_tried_again(imported, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("POINTSMAN_HOME", str(imported.home))
    imported.decide({"id": "a"})
    file = imported.file([{"decision_id": "a", "value": 1}])
    assert "No gateway answers" in refused(imported(file, "--json", "--url", "http://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"decided_us": LIFE_US - 1}, "before route fraud was declared"),
        ({"decided_us": NOON_US + 10**12}, "in the future"),
        ({"propensity": float("nan")}, "no decision of the log"),
        ({"arm": "nobody"}, "no arm nobody"),
        ({"policy_version": 99}, "no longer has version 99"),
        ({"decision_id": "a b"}, "no decision of the log"),
        ({"group": 64}, "no decision of the log"),
    ],
)
def test_a_decision_that_no_log_could_have_is_refused(imported, change, sentence):
    decision = {
        "decision_id": "a", "policy_version": 1, "arm": "canary", "propensity": 0.1, "decided_us": NOON_US,
        "latency_us": 1, "group": -1, **change,
    }  # fmt: skip
    reward = {"decision": decision, "metric": "click", "value": 1}
    (result,) = ApiClient.import_rewards(None, "fraud", "import x", [reward])  # type: ignore[arg-type]  # patched
    assert result["result"] == "refused"
    assert sentence in result["error"]


def test_a_token_cannot_be_replaced_by_what_a_caller_says_of_a_decision(imported):
    decision = {"decision_id": "a", "policy_version": 1, "arm": "canary"}
    (result,) = imported.taken.send({"decision": decision, "metric": "click", "value": 1})
    assert result["result"] == "refused"
