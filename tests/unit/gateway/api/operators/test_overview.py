"""Status and replicas, with the store present, away or lost; the newest changes; restoring a lost store."""

import time

import pytest

from gateway.access.api_keys import make_key
from gateway.access.guard import AccessGuard
from gateway.access.middleware import AccessMiddleware
from router.evidence.sums import ANSWERS, ERRORS, FLIPS, LEFT, PAIRS, REQUESTS
from tests.unit.gateway.api.operators.support import ROLLOUT, SPLIT, Operated, Shut, refused


@pytest.fixture
def operated(registry, tmp_path):
    with Operated(registry, tmp_path / "store.db") as operated:
        yield operated


@pytest.fixture
def both(operated):
    operated.declare("plain", SPLIT)
    operated.declare("rolled", ROLLOUT)
    operated.look()
    return operated


def test_a_route_says_how_its_arms_do(both):
    both.make("rolled", "start")
    both.count(
        "rolled", {("stable", REQUESTS): 1900, ("canary", REQUESTS): 100, ("canary", ERRORS): 50, ("canary", LEFT): 7}
    )
    both.count(
        "rolled",
        {("linear:2", ANSWERS): 300, ("linear:2", PAIRS): 300, ("linear:2", FLIPS): 3_000_000},
        against="stable",
    )
    route = both.status("rolled")
    assert route["counts"] == [
        {"arm": "stable", "requests": 1900, "errors": 0, "left": 0},
        {"arm": "canary", "requests": 100, "errors": 50, "left": 7},
    ]
    guardrail, _ = route["guardrails"]  # the other finding is of callers who left
    assert (guardrail["arm"], guardrail["guardrail"], guardrail["state"]) == ("canary", "errors", "UNHEALTHY")
    assert "50 of 100 (50%) requests of canary failed" in guardrail["reason"]
    assert (route["worst"], guardrail["p_value"] < 1e-6) == ("UNHEALTHY", True)
    (shadow,) = route["shadows"]
    assert (shadow["shadow"], shadow["version"], shadow["against"]) == ("linear:2", "2", "stable")
    assert shadow["flip_rate"][0] < 0.01 < shadow["flip_rate"][1]
    rollout = route["rollout"]
    assert (rollout["phase"], rollout["step"], rollout["of_steps"]) == ("PROGRESSING", 1, 3)
    assert rollout["candidate"] == "linear:2"
    assert rollout["next"].startswith("In ")
    assert route["weights"] == {"stable": "95%", "canary": "5%"}


def test_a_route_that_is_not_served_here_yet_says_no_version(both):
    assert both.status("plain")["serves"] == {}


def test_a_plain_split_is_not_counted(both):
    route = both.status("plain")
    assert (route["rollout"], route["worst"]) == (None, None)
    assert route["counts"] == route["guardrails"] == route["shadows"] == route["quarantine"] == []


def test_a_trial_begins_with_the_rollout(both):
    both.count("rolled", {("stable", REQUESTS): 1000})
    both.make("rolled", "start")
    assert [each["requests"] for each in both.status("rolled")["counts"]] == [0, 0]


def test_while_the_store_answers_it_is_reachable(both):
    both.store_contact_s -= 1.5
    status = both.get("/api/status")
    assert (status["store"]["state"], status["store"]["trouble"]) == ("REACHABLE", "")
    assert 1.5 <= status["store"]["stale_s"] < 20
    (replica,) = status["replicas"]
    assert (replica["replica"], replica["state"], replica["warnings"], replica["trouble"]) == ("here", "LIVE", {}, "")


def test_while_the_store_is_away_this_replica_tells_what_it_knows(both):
    both.make("rolled", "start")
    both.look()
    both.store.is_away = True
    status = both.get("/api/status")
    assert (status["store"]["state"], status["store"]["trouble"]) == ("UNREACHABLE", "The store does not answer.")
    plain, rolled = status["routes"]
    assert (plain["route"], plain["converged"], plain["applied"]) == ("plain", True, {"here": 1})
    assert (rolled["rollout"]["phase"], rolled["rollout"]["next"]) == (
        "PROGRESSING", "Nothing, until the store answers.",
    )  # fmt: skip
    assert (rolled["counts"], rolled["worst"]) == ([], "UNDECIDED")
    assert [each["replica"] for each in status["replicas"]] == ["here"]


def reports(replicas: list[dict]) -> list[dict]:
    return [{**replica, "age_s": None} for replica in replicas]


def test_the_replicas_are_those_of_the_status(both):
    both.store.report(both.report(replica="gone", at_s=time.time() - 10))
    both.store.report(both.report(replica="forgotten", at_s=time.time() - 100))
    replicas = both.get("/api/replicas")
    assert {(each["replica"], each["state"]) for each in replicas} == {("here", "LIVE"), ("gone", "GONE")}
    assert reports(replicas) == reports(both.get("/api/status")["replicas"])


def test_the_replicas_are_read_without_documents_and_sums(both, monkeypatch):
    read = []
    original = Shut.__getattr__
    monkeypatch.setattr(Shut, "__getattr__", lambda self, name: read.append(name) or original(self, name))
    (replica,) = both.get("/api/replicas")
    assert (replica["replica"], replica["routes"]) == ("here", {"plain": 1, "rolled": 1})
    assert read == ["reports"]


def test_only_what_concerns_some_routes_is_told(both):
    both.store.report(both.report(replica="other", problems={"plain": "no", "rolled": "neither"}))
    replicas = both.get("/api/replicas?route=rolled&route=unknown")
    assert [(each["replica"], each["routes"], each["problems"]) for each in replicas] == [
        ("here", {"rolled": 1}, {}),
        ("other", {"rolled": 1}, {"rolled": "neither"}),
    ]
    status = both.get("/api/status?route=rolled")
    assert [each["route"] for each in status["routes"]] == ["rolled"]
    assert reports(status["replicas"]) == reports(both.get("/api/replicas?route=rolled"))
    assert both.get("/api/status?route=unknown")["routes"] == []
    both.store.is_away = True
    assert [each["route"] for each in both.get("/api/status?route=plain")["routes"]] == ["plain"]


def test_documents_that_a_replica_has_read_are_not_read_again(both, monkeypatch):
    both.get("/api/status")
    read = []
    original = Shut.__getattr__
    monkeypatch.setattr(Shut, "__getattr__", lambda self, name: read.append(name) or original(self, name))
    assert [each["version"] for each in both.get("/api/status")["routes"]] == [1, 1]
    assert read == ["reports", "revision", "counted_since"]
    both.make("rolled", "start")
    assert [each["version"] for each in both.get("/api/status")["routes"]] == [1, 2]


def test_while_the_store_is_away_the_replicas_are_this_one(both):
    both.store.report(both.report(replica="other"))
    both.store.is_away = True
    replicas = both.get("/api/replicas")
    assert [each["replica"] for each in replicas] == ["here"]
    assert reports(replicas) == reports(both.get("/api/status")["replicas"])


def test_the_replicas_need_the_scope_read(both):
    keys = [
        make_key(scope, [f"{scope}:plain" if scope == "predict" else scope], created_by="test", now_s=0.0)
        for scope in ("read", "predict")
    ]
    guard = AccessGuard()
    guard.replace_keys([key for key, _ in keys])
    both.app = AccessMiddleware(both.app, guard)
    allowed, denied = (
        both.request("GET", "/api/replicas", headers={"authorization": f"Bearer {secret}"}) for _, secret in keys
    )
    assert allowed.status_code == 200
    assert "scope read" in refused(denied, 403)
    assert refused(both.request("GET", "/api/replicas"), 401)


def test_a_store_that_was_emptied_is_lost_until_it_is_restored(both):
    both.make("rolled", "start")
    both.look()
    routes = both.get("/api/routes")
    both.replace_store()
    both.wanted.look()
    status = both.get("/api/status")
    assert status["store"]["state"] == "LOST"
    assert "has lost its routes" in status["store"]["trouble"]
    assert [route["route"] for route in status["routes"]] == ["plain", "rolled"]
    assert both.request("POST", "/api/restore").json() == {"routes": ["plain", "rolled"]}
    both.look()
    assert both.get("/api/status")["store"]["state"] == "REACHABLE"
    assert both.get("/api/routes") == routes
    assert both.make("rolled", "pause")["version"] == 3


def test_what_is_not_lost_is_not_put_back(both):
    assert both.request("POST", "/api/restore").json() == {"routes": []}


def test_a_replica_that_knows_nothing_puts_nothing_back(operated):
    assert "knows of no routes" in refused(operated.request("POST", "/api/restore"), 400)
    assert operated.store.revision().identity == ""


def test_a_store_with_routes_of_its_own_keeps_them(both, registry, tmp_path):
    both.replace_store()
    with Operated(registry, both.path) as other:
        other.declare("plain", SPLIT)
    both.wanted.look()
    assert "has routes of its own" in refused(both.request("POST", "/api/restore"), 409)


def test_a_damaged_document_hides_no_other(both):
    both.store._query("UPDATE documents SET body = '{}' WHERE route = 'plain'")
    assert [route["route"] for route in both.get("/api/status")["routes"]] == ["plain", "rolled"]
    assert "cannot be read" in refused(both.request("GET", "/api/routes"), 500)


def test_an_earlier_version_that_is_damaged_takes_only_its_routes_counts(both):
    both.make("rolled", "start")
    both.count("rolled", {("stable", REQUESTS): 5})
    both.make("rolled", "pause")
    both.store._query("UPDATE documents SET body = '{}' WHERE route = 'rolled' AND version = 2")
    route = both.status("rolled")
    assert (route["rollout"]["phase"], route["counts"]) == ("PAUSED", [])


@pytest.mark.parametrize("canary", ["linear:2", "linear@challenger"])
def test_without_its_registry_a_route_is_counted_and_judged_only_if_it_is_known_what_it_serves(
    own_registry, tmp_path, canary
):
    with Operated(own_registry, tmp_path / "own.db") as own:
        own.declare("rolled", {**ROLLOUT, "arms": {**ROLLOUT["arms"], "canary": canary}})
    own_registry.rename(tmp_path / "away")
    with Operated(own_registry, tmp_path / "own.db") as own:
        own.count("rolled", {("stable", REQUESTS): 7})
        route = own.status("rolled")
        judged = [] if canary == "linear:2" else ["canary", "canary"]
        assert ([each["arm"] for each in route["guardrails"]], route["worst"]) == (judged, "UNDECIDED")
        assert route["counts"][0] == {"arm": "stable", "requests": 7, "errors": 0, "left": 0}


def test_the_newest_changes_of_all_routes_come_first_in_pages(both):
    both.make("rolled", "start", why="a test")
    both.make("plain", "shift", weights={"b": 40})
    first = both.get("/api/audit?limit=3")
    assert [(each["number"], each["route"], each["version"], each["what"]) for each in first] == [
        (4, "plain", 2, "shift b=40"),
        (3, "rolled", 2, "start"),
        (2, "rolled", 1, "apply"),
    ]
    assert (first[1]["phase"], first[1]["weights"]["canary"], first[1]["by"]) == ("PROGRESSING", "5%", "here")
    (last,) = both.get("/api/audit?limit=3&before=2")
    assert (last["number"], last["phase"]) == (1, None)
    assert both.get("/api/audit?before=1") == both.get(f"/api/audit?before=-{10**30}") == []
    assert len(both.get(f"/api/audit?limit={10**30}&before={10**30}")) == 4
    assert len(both.get("/api/audit?limit=0")) == 1


def test_changes_that_cannot_be_read_are_left_out(both):
    both.store._query("UPDATE documents SET body = '{}' WHERE route = 'plain'")
    assert [each["number"] for each in both.get("/api/audit?limit=1&before=2")] == []
    assert [each["route"] for each in both.get("/api/audit")] == ["rolled"]


def test_a_store_that_is_away_has_no_changes_to_show(both):
    both.store.is_away = True
    assert refused(both.request("GET", "/api/audit"), 503)


def test_reports_may_be_asked_for_about_some_routes_only(gateway):
    (every,) = gateway.http.get("/api/replicas").json()
    assert {"plain", "half"} <= every["routes"].keys()
    (some,) = gateway.http.get("/api/replicas?route=plain&route=nowhere").json()
    assert some["routes"].keys() == {"plain"}
    assert (some["replica"], some["state"]) == (every["replica"], "LIVE")
