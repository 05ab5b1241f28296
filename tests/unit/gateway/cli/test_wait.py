"""What counts as live: the replicas that exist, and not only those that report just now."""

import json

import pytest

from gateway.cli.client import ApiClient, ApiError
from tests.unit.gateway.cli.support import refused

_LIVE = {"state": "LIVE", "age_s": 0.1, "routes": {"r": 8}}
_LOADING = {"state": "GONE", "age_s": 6.0, "routes": {}}
_DEAD = {"state": "GONE", "age_s": 40.0, "routes": {}}


@pytest.fixture
def shift(run, monkeypatch):
    """Return a function that runs a command while the replicas report this, the last for ever."""
    entry = {"route": "r", "version": 8, "weights": {"a": "100%"}, "rollout": None}
    monkeypatch.setattr(ApiClient, "route", lambda *_: entry)
    monkeypatch.setattr(ApiClient, "command", lambda *_: entry)
    monkeypatch.setattr("gateway.cli.wait._POLL_S", 0.0)

    def command(*looks: dict | ApiError, limit_s: float = 60.0, more=()):
        left = list(looks)

        def replicas(_):
            look = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(look, ApiError):
                raise look
            return [{"replica": name, **each} for name, each in look.items()]

        monkeypatch.setattr("gateway.cli.wait._CONVERGE_S", limit_s)
        monkeypatch.setattr(ApiClient, "replicas", replicas)
        return run("shift", "r", "a=100", *more)

    return command


def test_a_replica_that_loads_and_does_not_report_is_waited_for(shift):
    result = shift({"x": _LOADING}, {"x": _DEAD}, {}, {"x": _LIVE})
    assert (result.exit_code, "live on 1 of 1 replicas" in result.stdout) == (0, True)
    result = shift({"x": _LIVE, "y": _LOADING}, {"x": _LIVE, "y": _LIVE})
    assert (result.exit_code, "live on 2 of 2 replicas" in result.stdout) == (0, True)


def test_a_replica_that_died_is_not_waited_for(shift):
    result = shift({"x": _LIVE, "y": _DEAD})
    assert (result.exit_code, "live on 1 of 1 replicas" in result.stdout) == (0, True)


def test_where_nothing_serves_there_is_no_success(shift):
    assert "Missing: x." in refused(shift({"x": _LOADING}, limit_s=0.0))
    assert "Missing: x." in refused(shift({"x": _DEAD}, limit_s=0.0))
    assert "no replica reports" in refused(shift({}, limit_s=0.0))
    result = shift({"x": _LOADING}, limit_s=0.0, more=["--json"])
    assert json.loads(result.stdout)["live_on"] == {"x": False}
    assert result.exit_code == 1


def test_a_gateway_that_restarts_after_the_change_is_waited_for(shift):
    away, broken = ApiError("No gateway answers."), ApiError("The store is away.", 503)
    result = shift(away, broken, {"x": _LIVE})
    assert (result.exit_code, "live on 1 of 1 replicas" in result.stdout) == (0, True)
    assert "no replica reports" in refused(shift(away, limit_s=0.0))
    assert "may not" in refused(shift(ApiError("You may not read this.", 403), {"x": _LIVE}))
