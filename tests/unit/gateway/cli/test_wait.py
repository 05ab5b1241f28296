"""What counts as live: the replicas that exist, and not only those that report just now."""

import json

import pytest

from gateway.cli.client import ApiClient, ApiError
from tests.unit.gateway.cli.support import refused

_LIVE = {"state": "LIVE", "age_s": 0.1, "routes": {"r": 8}}
_LOADING = {"state": "GONE", "age_s": 6.0, "routes": {}}
_OLDER = {"state": "LIVE", "age_s": 0.2, "routes": {"r": 7}, "problems": {"r": "It is too large."}}
_DEAD = {"state": "GONE", "age_s": 40.0, "routes": {}}


@pytest.fixture
def shift(run, monkeypatch):
    """Return a function that runs a command while the replicas report this, the last for ever."""
    entry = {"route": "r", "version": 8, "weights": {"a": "100%"}, "rollout": None}
    monkeypatch.setattr(ApiClient, "route", lambda *_: entry)
    monkeypatch.setattr(ApiClient, "command", lambda *_: entry)
    monkeypatch.setattr("gateway.cli.wait.time.sleep", lambda _: None)

    def command(*looks: dict | ApiError, limit_s: float = 60.0, more=()):
        left = list(looks)

        def replicas(_, routes):
            assert routes == ["r"]
            look = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(look, ApiError):
                raise look
            return [{"replica": name, **each} for name, each in look.items()]

        monkeypatch.setattr(ApiClient, "replicas", replicas)
        return run("shift", "r", "a=100", "--patience", limit_s, *more)

    command.again = lambda: run("shift", "r", "a=100")

    return command


def test_a_replica_that_loads_and_does_not_report_is_waited_for(shift):
    result = shift({"x": _LOADING}, {"x": _DEAD}, {}, {"x": _LIVE})
    assert (result.exit_code, "live on 1 of 1 replicas" in result.stdout) == (0, True)
    result = shift({"x": _LIVE, "y": _LOADING}, {"x": _LIVE, "y": _LIVE})
    assert (result.exit_code, "live on 2 of 2 replicas" in result.stdout) == (0, True)


def test_a_replica_that_died_is_not_waited_for(shift):
    result = shift({"x": _LIVE, "y": _DEAD})
    assert (result.exit_code, "live on 1 of 1 replicas" in result.stdout) == (0, True)


def test_where_nothing_serves_the_change_is_made_but_not_live_and_the_exit_code_is_3(shift):
    assert "Missing: x (silent for 6.0s)." in refused(shift({"x": _LOADING}, limit_s=0.0), exit_code=3)
    assert "Missing: x (silent for 40s)." in refused(shift({"x": _DEAD}, limit_s=0.0), exit_code=3)
    nothing = shift({}, limit_s=0.0)
    assert "The change is made, but no replica reports" in refused(nothing, exit_code=3)
    assert "0 of 0" not in nothing.output
    assert "r is at version 8 (a=100%), not live: no replica reports" in nothing.stdout


def test_json_says_the_same_of_what_is_not_live(shift):
    result = shift({"x": _LOADING, "y": _OLDER}, limit_s=0.0, more=["--json"])
    found = json.loads(result.stdout)
    assert (result.exit_code, found["live"], found["live_on"]) == (3, False, {"x": False, "y": False})
    assert found["missing"] == [
        {"replica": "x", "state": "GONE", "age_s": 6.0, "serves": {}, "problems": {}},
        {"replica": "y", "state": "LIVE", "age_s": 0.2, "serves": {"r": 7}, "problems": {"r": "It is too large."}},
    ]
    nothing = json.loads(shift({}, limit_s=0.0, more=["--json"]).stdout)
    assert (nothing["live"], nothing["live_on"]) == (False, {})


def test_what_a_replica_serves_instead_is_said(shift):
    sentence = refused(shift({"y": _OLDER}, limit_s=0.0), exit_code=3)
    assert "Missing: y (serves r@7: It is too large.)." in sentence


def test_a_silent_replica_that_does_not_count_is_named(shift):
    result = shift({"x": _LIVE, "y": _DEAD})
    assert (result.exit_code, result.stderr) == (0, "Not counted: y (silent for 40s).\n")
    assert [
        each["replica"] for each in json.loads(shift({"x": _LIVE, "y": _DEAD}, more=["--json"]).stdout)["silent"]
    ] == ["y"]


def test_only_the_routes_of_the_change_are_asked_for_and_ever_more_rarely(shift, monkeypatch):
    asked, pauses = [], []
    monkeypatch.setattr("gateway.cli.wait.time.sleep", pauses.append)
    shift(*[{"x": _OLDER}] * 30, {"x": _LIVE})
    monkeypatch.setattr(ApiClient, "replicas", lambda _, routes: asked.append(routes) or [{"replica": "x", **_LIVE}])
    run = shift.again()
    assert (run.exit_code, asked) == (0, [["r"]])
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.05, 1.0)


def test_a_gateway_that_restarts_after_the_change_is_waited_for(shift):
    away, broken = ApiError("No gateway answers."), ApiError("The store is away.", 503)
    result = shift(away, broken, {"x": _LIVE})
    assert (result.exit_code, "live on 1 of 1 replicas" in result.stdout) == (0, True)
    assert "no replica reports" in refused(shift(away, limit_s=0.0), exit_code=3)
    assert "may not" in refused(shift(ApiError("You may not read this.", 403), {"x": _LIVE}))
