"""The status, as a table and of one route; history; models."""

import json
from dataclasses import replace

import pytest

from gateway.api.operators.responses import StoreStatus
from gateway.api.operators.status import status_view
from gateway.cli.client import ApiClient
from gateway.cli.print_status import print_route, print_status
from gateway.control.observer import Observation
from router.document.apply import apply
from router.document.commands import Abort, Declare, Start
from router.document.document import Candidate
from router.evidence.guardrails import GuardrailFinding
from router.evidence.sample_ratio import draws_of
from router.evidence.sums import ERRORS, FLIPS, LEFT, PAIRS, REQUESTS, SumKey
from router.evidence.verdict import Verdict, VerdictState
from router.spec.parse import parse_spec
from tests.support.documents import report
from tests.support.polling import wait_until

NOW_S = 1_800_000_000.0
SPEC = {
    "route": "fraud",
    "arms": {"stable": "fraud@champion", "canary": "fraud@challenger"},
    "rollout": {"of": "canary", "steps": ["5%", "25%", "100%"], "every": "10m"},
    "guardrails": [{"errors": {"worse_by": "1%"}}],
    "shadow": [{"arm": "fraud:17"}],
}
REACHABLE = StoreStatus(state="REACHABLE", trouble="", stale_s=0.1)
AWAY = StoreStatus(state="UNREACHABLE", trouble="The store does not answer.", stale_s=200)


@pytest.fixture
def document():
    return apply(apply(None, Declare(parse_spec(SPEC), NOW_S - 900)), Start(Candidate("18", "d"), NOW_S - 400))


@pytest.fixture
def evidence():
    reason = "5 of 100 (5%) requests of canary failed [sic]."
    finding = GuardrailFinding("canary", "errors", Verdict(VerdictState.UNDECIDED, reason, 0.2))
    counted = {
        SumKey(0, 2, "stable", "17", "", REQUESTS): 1900, SumKey(0, 2, "canary", "18", "", REQUESTS): 100,
        SumKey(0, 2, "canary", "18", "", ERRORS): 5, SumKey(0, 2, "canary", "18", "", LEFT): 3,
        SumKey(0, 2, "fraud:17", "17", "stable", PAIRS): 1000,
        SumKey(0, 2, "fraud:17", "17", "stable", FLIPS): 20_000_000,
    }  # fmt: skip
    draws = draws_of(counted, {2: {"stable": 9_500, "canary": 500}})
    return Observation((finding,), 100, counted, {}, draws)


def status_json(store, documents, evidence, **more):
    reports = [report("here", at_s=NOW_S, started_s=NOW_S - 3661, routes={"fraud": 2}, problems={}, **more)]
    serving = {"fraud": {"stable": Candidate("17", "c"), "canary": Candidate("18", "d")}}
    return status_view(
        store, documents, reports, evidence, now_s=NOW_S, serving=serving, observed_s={"fraud": 400.0}
    ).model_dump(mode="json")


def test_a_route_is_a_line(capsys, document, evidence):
    print_status(status_json(REACHABLE, {"fraud": document}, {"fraud": evidence}))
    head, line, _, replicas, replica = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["ROUTE", "VERSION", "PHASE"]
    for text in (
        "PROGRESSING 1/3",
        "stable=95% canary=5%",
        "stable=17 canary=18",
        "UNDECIDED",
        "fraud:17 vs stable: ",
        "% differ",
        "yes",
    ):
        assert text in line
    assert replicas.startswith("REPLICA")
    for text in ("here", "LIVE", "0.0s", "1h 1m", "fraud@2"):
        assert text in replica


def test_a_store_that_is_away_comes_first(capsys, document):
    print_status(status_json(AWAY, {"fraud": document}, {}, trouble="The store does not answer."))
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        "The store is UNREACHABLE, last heard of 3m 20s ago; below is what this replica knows. "
        "The store does not answer."
    )


def test_without_the_store_nothing_is_said_of_the_other_replicas(capsys, document):
    now = status_json(AWAY, {"fraud": document}, {}, trouble="The store does not answer.")
    assert now["routes"][0]["converged"]
    print_status(now)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("fraud"))
    assert not line.rstrip().endswith("yes")
    print_route(now["routes"][0], now)
    assert "fraud is at version 2, live on this replica." in capsys.readouterr().out


def test_a_rollout_that_was_aborted_says_since_when(capsys, document, evidence):
    now = status_json(REACHABLE, {"fraud": apply(document, Abort(NOW_S, "bad"))}, {"fraud": evidence})
    print_route(now["routes"][0], now)
    assert "Its rollout is ABORTED 1/3 since 2027-01-15 08:00:00 UTC; " in capsys.readouterr().out


def test_one_route_is_shown_with_its_sentences(capsys, document, evidence):
    now = status_json(
        REACHABLE, {"fraud": document}, {"fraud": evidence}, warnings={"fraud": "Served without shadow x."}
    )
    print_route(now["routes"][0], now)
    out = capsys.readouterr().out
    for text in (
        "fraud is at version 2, live on all replicas.",
        "Its rollout is PROGRESSING 1/3, in a step that began 2027-01-15 07:53:20 UTC; the candidate is fraud:18.",
        "Next: In 3m 20s, step 2 of 3 begins (25%).",
        "here: Served without shadow x.",
        "5 of 100 (5%) requests of canary failed [sic].",
        "20 (0.73% to 4.",
        "Sample ratio: AS_EXPECTED. The arms got as many requests as their weights say. p <= 1, alpha 0.001.",
    ):
        assert text in out
    arm = next(line for line in out.splitlines() if line.startswith("canary"))
    assert arm.split() == ["canary", "fraud@challenger", "18", "5%", "100", "100.2", "5", "3"]


def test_what_is_in_quarantine_is_shown(capsys, document, evidence):
    aborted = apply(document, Abort(NOW_S, "[bold]bad[/]"))
    now = status_json(REACHABLE, {"fraud": aborted}, {"fraud": evidence})
    print_route(now["routes"][0], now)
    out = capsys.readouterr().out
    assert "fraud is at version 3, not live on all replicas yet." in out
    assert "fraud:18 is in quarantine since 2027-01-15 08:00:00 UTC: [bold]bad[/]" in out


def test_an_arm_without_a_model_is_shown_with_its_value(capsys):
    arms = {"a": {"value": {"text": "é[b]"}}, "b": {"value": {"text": "x" * 100}}}
    split = apply(None, Declare(parse_spec({"route": "s", "arms": arms, "split": {"a": 1}})))
    now = status_json(REACHABLE, {"s": split}, {})
    print_route(now["routes"][0], now)
    out = capsys.readouterr().out
    assert '{"text": "é[b]"} ' in out
    assert f'{{"text": "{"x" * 49}… ' in out


def test_without_anything_counted_nothing_is_made_up(capsys):
    split = apply(None, Declare(parse_spec({"route": "s", "arms": {"a": "m:1"}, "split": {"a": 1}})))
    now = status_json(REACHABLE, {"s": split}, {})
    print_route(now["routes"][0], now)
    assert [line.split() for line in capsys.readouterr().out.splitlines()][-1] == ["a", "m:1", "100%"]


def test_the_status_says_which_version_each_arm_serves(here, gateway):
    spec = {"arms": {"a": "linear@champion", "b": "linear@challenger"}, "split": {"a": "50%", "b": "50%"}}
    name = "serves-aliases"
    here("status")
    assert gateway.http.put(f"/api/routes/{name}", json=spec, headers={"if-none-match": "*"}).status_code == 200
    wait_until(lambda: json.loads(here("status", "--route", name, "--json").stdout)["serves"] == {"a": "1", "b": "2"})
    assert "a=1 b=2" in here("status").stdout
    lines = [line.split() for line in here("status", "--route", name).stdout.splitlines()]
    assert ["b", "linear@challenger", "2", "50%"] in lines


def test_status_models_and_history_are_json_too(here):
    assert {"store", "routes", "replicas"} <= json.loads(here("status", "--json").stdout).keys()
    assert json.loads(here("status", "--route", "half", "--json").stdout)["route"] == "half"
    assert json.loads(here("models", "--json").stdout)
    assert "READY" in here("models").stdout
    assert "a=50% b=50%" in here("status").stdout
    newest = json.loads(here("history", "--limit", "2", "--json").stdout)
    assert [each["number"] for each in newest] == sorted((each["number"] for each in newest), reverse=True)


def test_the_history_of_all_routes_names_them(here):
    head, *lines = here("history", "--limit", "1000").stdout.splitlines()
    assert head.split()[0] == "ROUTE"
    assert {"plain", "half", "byparameter"} <= {line.split()[0] for line in lines}


def test_what_operators_wrote_is_shown_as_it_is(run, monkeypatch):
    entry = {
        "version": 1, "at_s": NOW_S, "who": "[ada]", "what": "apply", "rollout": None, "weights": {"a": "100%"},
        "why": "[/red] :smile:",
    }  # fmt: skip
    monkeypatch.setattr(ApiClient, "history", lambda *_: [entry])
    result = run("history", "r")
    assert result.exit_code == 0, result.exception
    assert "[ada]" in result.stdout
    assert "[/red] :smile:" in result.stdout


def test_what_is_wrong_with_several_routes_is_said_once(document, capsys):
    warnings = dict.fromkeys(("a", "b"), "The registry is away.")
    print_status(status_json(REACHABLE, {"fraud": document}, {}, warnings=warnings))
    assert capsys.readouterr().out.count("The registry is away.") == 1


@pytest.mark.parametrize(("number", "words"), [(41, ["here still has policy 41, 3 behind."]), (43, []), (44, [])])
def test_a_replica_with_old_weights_of_a_bandit_is_named(capsys, number, words):
    bandit = {
        "route": "fraud", "arms": {"a": "fraud:1", "b": "fraud:2"}, "metrics": {"click": {"window": "1h"}},
        "bandit": {"policy": "thompson", "reward": "click"},
    }  # fmt: skip
    declared = apply(None, Declare(parse_spec(bandit), NOW_S))
    assert declared.learning is not None
    learned = replace(declared, learning=replace(declared.learning, policy=44))
    now = status_json(REACHABLE, {"fraud": learned}, {}, policies={"fraud": number})
    assert now["replicas"][0]["policies"] == {"fraud": number}
    print_route(now["routes"][0], now)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "behind" in line] == words
