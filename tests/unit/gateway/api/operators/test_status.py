"""The status response, built from documents, reports and evidence."""

from dataclasses import replace

import pytest

from gateway.api.operators.responses import StoreStatus
from gateway.api.operators.status import FORGOTTEN_S, FRESH_S, is_counted, status_view
from gateway.control.observer import Observation
from router.document.apply import apply
from router.document.commands import Declare
from router.evidence.guardrails import GuardrailFinding
from router.evidence.sample_ratio import draws_of
from router.evidence.sums import ERRORS, REQUESTS, SumKey
from router.evidence.verdict import Verdict, VerdictState
from router.spec.parse import parse_spec
from store.report import Report
from tests.support.documents import report

NOW_S = 1_800_000_000.0
STORE = StoreStatus(state="REACHABLE", trouble="", stale_s=0.0)
SPLIT = {"route": "r", "arms": {"a": "m:1", "b": "m:2"}, "split": {"a": "90%", "b": "10%"}, "fallback": "a"}
GUARDED = {**SPLIT, "guardrails": [{"errors": {"worse_by": "1%"}}, {"missing_outputs": {"worse_by": "1%"}}]}


def document(spec=SPLIT):
    return apply(None, Declare(parse_spec(spec), NOW_S - 60))


def of(*reports: Report, evidence=None, spec=SPLIT):
    documents = {"r": document(spec)}
    return status_view(STORE, documents, reports, {} if evidence is None else {"r": evidence}, now_s=NOW_S)


def serving(replica: str, version: int | None, age_s: float = 0.0, **more):
    routes = {} if version is None else {"r": version}
    return report(replica, at_s=NOW_S - age_s, started_s=NOW_S - 100, routes=routes, problems={}, **more)


@pytest.mark.parametrize(
    ("reports", "applied", "converged"),
    [
        ([], {}, False),
        ([serving("x", 1)], {"x": 1}, True),
        ([serving("x", 1), serving("y", 1)], {"x": 1, "y": 1}, True),
        ([serving("x", 1), serving("y", None)], {"x": 1, "y": None}, False),
        ([serving("x", 1), serving("y", 7)], {"x": 1, "y": 7}, False),
        ([serving("x", 1), serving("y", None, FRESH_S)], {"x": 1}, True),
    ],
)
def test_a_route_is_live_where_every_live_replica_has_its_version(reports, applied, converged):
    (route,) = of(*reports).routes
    assert (route.applied, route.converged) == (applied, converged)


def test_who_is_silent_is_gone_and_then_forgotten():
    shown = of(serving("x", 1, FRESH_S - 0.1), serving("y", 1, FRESH_S), serving("z", 1, FORGOTTEN_S)).replicas
    assert [(each.replica, each.state) for each in shown] == [("x", "LIVE"), ("y", "GONE")]
    assert (shown[1].age_s, shown[1].up_s) == (FRESH_S, 95.0)


def test_a_replica_tells_its_problems_and_warnings_and_what_is_wrong_with_the_store():
    (shown,) = of(replace(serving("x", 1), problems={"r": "p"}, warnings={"r": "w"}, trouble="t")).replicas
    assert (shown.problems, shown.warnings, shown.trouble) == ({"r": "p"}, {"r": "w"}, "t")


def finding(guardrail: str, state: VerdictState) -> GuardrailFinding:
    return GuardrailFinding("b", guardrail, Verdict(state, f"{guardrail} is {state}.", 0.5))


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        ((VerdictState.HEALTHY, VerdictState.HEALTHY), VerdictState.HEALTHY),
        ((VerdictState.HEALTHY, VerdictState.UNDECIDED), VerdictState.UNDECIDED),
        ((VerdictState.UNHEALTHY, VerdictState.HEALTHY), VerdictState.UNHEALTHY),
        ((), VerdictState.UNDECIDED),
    ],
)
def test_the_worst_guardrail_speaks_for_the_route(states, worst):
    found = tuple(finding(f"g{index}", state) for index, state in enumerate(states))
    (route,) = of(evidence=Observation(found, 0, {}, {}), spec=GUARDED).routes
    assert route.worst is worst
    assert [(each.guardrail, each.state, each.reason, each.p_value) for each in route.guardrails] == [
        (each.guardrail, each.verdict.state, each.verdict.reason, 0.5) for each in found
    ]


def test_requests_are_counted_over_policy_versions_and_model_versions():
    totals = {
        SumKey(0, 1, "a", "1", "", REQUESTS): 10, SumKey(0, 2, "a", "9", "", REQUESTS): 5,
        SumKey(0, 1, "b", "2", "", ERRORS): 3,
    }  # fmt: skip
    (route,) = of(evidence=Observation((), 0, totals, {}), spec=GUARDED).routes
    assert [(each.arm, each.requests, each.errors) for each in route.counts] == [("a", 15, 0), ("b", 0, 3)]


@pytest.mark.parametrize(
    ("of_b", "unit", "state", "words"),
    [
        (505, None, "AS_EXPECTED", "got as many requests as their weights say"),
        (700, None, "MISMATCH", "Arm a got 500 of 1200 drawn requests; by their weights, 600.0 are expected"),
        (650, "header:x-user", "UNTESTED", "requests of one unit share a draw"),
    ],
)
def test_the_sample_ratio_is_tested_against_the_weights(of_b, unit, state, words):
    totals = {SumKey(0, 1, arm, "1", "", REQUESTS): count for arm, count in (("a", 500), ("b", of_b))}
    draws = draws_of(totals, {1: {"a": 5_000, "b": 5_000}})
    (route,) = of(evidence=Observation((), 0, totals, {}, draws), spec=GUARDED | {"unit": unit}).routes
    assert route.sample_ratio is not None
    assert (route.sample_ratio.state, words in route.sample_ratio.reason) == (state, True)
    assert route.sample_ratio.drawn == {"a": 500, "b": of_b}
    assert route.sample_ratio.expected == {"a": (500 + of_b) / 2, "b": (500 + of_b) / 2}
    assert (route.sample_ratio.p_value < 0.001) is (state == "MISMATCH")


def test_without_evidence_nothing_is_counted_and_nothing_decided():
    (route,) = of(spec=GUARDED).routes
    assert route.sample_ratio is None
    assert (route.counts, route.guardrails, route.shadows, route.worst) == ([], [], [], VerdictState.UNDECIDED)
    assert of().routes[0].worst is None


@pytest.mark.parametrize(
    ("more", "counted"),
    [
        ({}, False),
        ({"guardrails": [{"errors": {"worse_by": "1%"}}]}, True),
        ({"shadow": [{"arm": "m:3"}]}, True),
        ({"split": None, "rollout": {"of": "b", "steps": ["100%"]}}, True),
    ],
)
def test_sums_are_read_where_there_is_something_to_show(more, counted):
    assert is_counted(document({**SPLIT, **more})) is counted


def test_who_is_silent_is_named_by_each_route():
    (route,) = of(serving("x", 1, FRESH_S), serving("y", 1, FORGOTTEN_S)).routes
    assert (route.converged, route.silent) == (False, ["x"])
