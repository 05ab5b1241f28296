"""Each command applies to the version that it has read, and returns when the result is served."""

import json

import pytest

from gateway.cli.client import ApiClient
from gateway.cli.http_request import Response, Server
from tests.unit.gateway.cli.support import ROLLOUT, refused


def test_a_rollout_goes_from_start_to_the_end(here, rolled):
    result = here("start", rolled, "--why", "it looks good")
    assert result.exit_code == 0, result.output
    assert f"{rolled} is at version 2, PROGRESSING 1/2 (stable=95% canary=5%), live on 1 of 1 replicas" in result.stdout
    assert "PAUSED 1/2 (stable=95%" in here("pause", rolled).stdout
    assert "PROGRESSING 1/2 (stable=95%" in here("resume", rolled).stdout
    entry = json.loads(here("promote", rolled, "--json").stdout)
    assert (entry["version"], entry["rollout"]["phase"], entry["weights"]["canary"]) == (5, "PROMOTED", "100%")
    assert list(entry["live_on"].values()) == [True]
    history = here("history", rolled).stdout
    assert "it looks good" in history
    assert "PROMOTED 2/2" in history


def test_what_is_aborted_stays_out_until_it_is_released(here, rolled):
    here("start", rolled)
    assert "ABORTED 1/2 (stable=100% canary=0%)" in here("abort", rolled, "canary", "--why", "errors").stdout
    assert "linear:2 is in quarantine: errors" in refused(here("start", rolled))
    detail = here("status", "--route", rolled).stdout
    assert "linear:2 is in quarantine since" in detail
    assert f"until `pointsman release {rolled} linear:2`" in detail
    assert here("release", rolled, "linear:2").exit_code == 0
    assert here("start", rolled).exit_code == 0
    assert "READY (stable=100% canary=0%)" in here("undo", rolled, "--to", "1").stdout
    assert "PAUSED 1/2 (stable=95% canary=5%)" in here("undo", rolled).stdout


def test_a_shadow_is_promoted(here, gateway):
    spec = {**ROLLOUT, "arms": {"stable": "linear:1", "canary": "linear:1"}, "shadow": [{"arm": "linear:2"}]}
    gateway.http.put("/api/routes/cli-shadow", json=spec, headers={"if-none-match": "*"})
    entry = json.loads(here("promote", "cli-shadow", "--shadow", "linear:2", "--json").stdout)
    assert (entry["what"], entry["rollout"]["candidate"]) == ("promote shadow linear:2", "linear:2")


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "nowhere"), ("shift", "nowhere", "a=1"), ("history", "nowhere"), ("start", "nowhere"),
        ("pause", "nowhere"), ("resume", "nowhere"), ("promote", "nowhere"), ("abort", "nowhere"), ("undo", "nowhere"),
        ("release", "nowhere", "1"), ("status", "--route", "nowhere"),
    ],
)  # fmt: skip
def test_a_route_that_is_not_there_is_said(here, arguments):
    assert "There is no route 'nowhere'" in refused(here(*arguments))


@pytest.mark.parametrize(
    "arguments", [("pause", "half"), ("undo", "half", "--to", "99"), ("abort", "half"), ("abort", "half", "z")]
)
def test_what_the_gateway_refuses_is_one_line(here, arguments):
    assert len(refused(here(*arguments)).splitlines()) == 1


def test_of_two_operators_the_second_is_told(here, rolled, gateway, monkeypatch):
    """Between the read and the command, another operator changes the route."""
    read = ApiClient.route

    def read_and_lose(self, name):
        found = read(self, name)
        gateway.http.post(f"/api/routes/{name}/start", json={})
        return found

    monkeypatch.setattr(ApiClient, "route", read_and_lose)
    sentence = refused(here("shift", rolled, "canary=50"))
    assert f"Route {rolled} is at version 2, not 1: another change came first." in sentence
    assert gateway.http.get(f"/api/routes/{rolled}").json()["version"] == 2


def test_nothing_is_put_back_where_nothing_is_lost(here):
    assert here("restore").stdout == "The store has everything; nothing was put back.\n"
    assert json.loads(here("restore", "--json").stdout) == {"routes": []}


def test_what_was_put_back_is_said(run, monkeypatch):
    monkeypatch.setattr(ApiClient, "restore", lambda _: {"routes": ["a", "b"]})
    assert run("restore").stdout == "Put back: a, b.\n"


def test_a_change_that_is_not_served_in_time_is_said(here, rolled, monkeypatch):
    monkeypatch.setattr(ApiClient, "replicas", lambda *_: [{"replica": "x", "state": "LIVE", "routes": {}}])
    result = here("start", rolled, "--patience", 0)
    assert "not live yet: on 0 of 1 replicas" in result.stdout
    assert "The change is made, but not every replica serves it yet" in refused(result, exit_code=3)


def test_every_command_sends_why_and_the_version_that_it_has_read(run, monkeypatch):
    sent = []

    def send(_: Server, method: str, path: str, headers: dict[str, str], content: bytes, __: float) -> Response:
        entry = {"route": "r", "version": 8, "weights": {"a": "100%"}, "rollout": None}
        if method == "POST":
            sent.append((path, headers["if-match"], json.loads(content)))
        live = [{"replica": "x", "state": "LIVE", "routes": {"r": 8}}]
        return Response(200, json.dumps(live if path == "/api/replicas?route=r" else entry).encode())

    monkeypatch.setattr("gateway.cli.client.send", send)
    for arguments in (
        ("start", "r"), ("pause", "r"), ("resume", "r"), ("promote", "r", "--shadow", "m:1"), ("abort", "r", "a"),
        ("undo", "r", "--to", "3"), ("release", "r", "17"), ("shift", "r", "a=5"), ("promote", "r", "--arm", "b"),
        ("reset", "r", "b"),
    ):  # fmt: skip
        assert run(*arguments, "--why", "x").exit_code == 0
    assert sent == [
        ("/api/routes/r/start", '"8"', {"why": "x"}),
        ("/api/routes/r/pause", '"8"', {"why": "x"}),
        ("/api/routes/r/resume", '"8"', {"why": "x"}),
        ("/api/routes/r/promote", '"8"', {"shadow": "m:1", "arm": None, "why": "x"}),
        ("/api/routes/r/abort", '"8"', {"arm": "a", "why": "x"}),
        ("/api/routes/r/undo", '"8"', {"to": 3, "why": "x"}),
        ("/api/routes/r/release", '"8"', {"version": "17", "why": "x"}),
        ("/api/routes/r/shift", '"8"', {"weights": {"a": "5"}, "why": "x"}),
        ("/api/routes/r/promote", '"8"', {"shadow": None, "arm": "b", "why": "x"}),
        ("/api/routes/r/reset", '"8"', {"arm": "b", "why": "x"}),
    ]


def test_while_it_waits_only_the_replicas_are_read(run, monkeypatch):
    paths = []
    versions = iter([7, 7, 8])
    entry = {"route": "r", "version": 8, "weights": {"a": "100%"}, "rollout": None}

    def send(_: Server, __: str, path: str, *___: object) -> Response:
        paths.append(path)
        if path != "/api/replicas?route=r":
            return Response(200, json.dumps(entry).encode())
        live = {"replica": "x", "state": "LIVE", "routes": {"r": next(versions)}}
        return Response(200, json.dumps([live, {"replica": "y", "state": "GONE", "routes": {}}]).encode())

    monkeypatch.setattr("gateway.cli.client.send", send)
    result = run("pause", "r")
    assert "live on 1 of 1 replicas" in result.stdout
    assert paths == ["/api/routes/r", "/api/routes/r/pause", *["/api/replicas?route=r"] * 3]
