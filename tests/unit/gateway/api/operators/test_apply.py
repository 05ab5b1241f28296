"""Several routes are declared together or not at all, by a caller that may operate each of them."""

import pytest

from gateway.access.api_keys import make_key
from gateway.access.guard import AccessGuard
from gateway.access.middleware import AccessMiddleware
from tests.unit.gateway.api.operators.support import ROLLOUT, SPLIT, Operated, refused


@pytest.fixture
def operated(registry, tmp_path):
    with Operated(registry, tmp_path / "store.db") as operated:
        yield operated


def declaration(route: str, spec=SPLIT, expected: int = 0) -> dict:
    return {"spec": {"route": route, **spec}, "expected": expected}


def test_routes_are_declared_together(operated):
    operated.declare("old", SPLIT)
    body = {"routes": [declaration("new", ROLLOUT), declaration("old", SPLIT, 1)], "why": "from git"}
    response = operated.request("POST", "/api/apply", body, headers={"x-operator": "ci"})
    assert [(each["route"], each["version"], each["who"], each["what"], each["why"]) for each in response.json()] == [
        ("new", 1, "ci", "apply", "from git"),
        ("old", 2, "ci", "apply", "from git"),
    ]
    assert {each["route"]: each["version"] for each in operated.get("/api/routes")} == {"new": 1, "old": 2}


LAYERED = {**SPLIT, "unit": "header:x-user-id", "fallback": "a"}


@pytest.mark.parametrize(
    ("second", "status", "sentence"),
    [
        (declaration("two", expected=3), 409, "Route two is at version 0, not 3"),
        (declaration("two", {**SPLIT, "arms": {"a": "linear:1", "b": "nothing:1"}}), 400, "no model 'nothing'"),
        (declaration("two", {**SPLIT, "arms": {"a": "linear:1", "b": "wide:1"}}), 400, "another signature"),
        (declaration("two", {**SPLIT, "shadow": [{"arm": "wide:1"}]}), 400, "another signature"),
        (declaration("two", {}), 400, "arms"),
        (declaration("one"), 400, "declared twice"),
        ({"spec": SPLIT, "expected": 0}, 400, "route must be a name"),
        (
            declaration("two", {**LAYERED, "layer": {"name": "checkout", "range": ["40%", "60%"]}}),
            400,
            "overlap in layer checkout",
        ),
        ({"spec": {"route": "two", **SPLIT}}, 400, "expected: Field required"),
        ({"spec": {"route": "two", **SPLIT}, "expected": -1}, 400, "greater than or equal to 0"),
    ],
)
def test_one_that_is_not_allowed_keeps_all_from_being_declared(operated, second, status, sentence):
    first = declaration("one", {**LAYERED, "layer": {"name": "checkout", "range": ["0%", "50%"]}})
    assert sentence in refused(operated.request("POST", "/api/apply", {"routes": [first, second]}), status)
    assert operated.get("/api/routes") == []


@pytest.mark.parametrize("body", [{}, {"routes": []}, {"routes": [declaration("r")], "whey": "x"}, []])
def test_a_body_that_declares_nothing_is_refused(operated, body):
    assert refused(operated.request("POST", "/api/apply", body), 400)


def test_a_store_that_is_away_takes_no_declaration(operated):
    operated.store.is_away = True
    assert refused(operated.request("POST", "/api/apply", {"routes": [declaration("r")]}), 503)


def test_whoever_may_operate_one_route_declares_that_one_only(operated):
    key, shown = make_key("shop", ["operate:mine"], created_by="test", now_s=0.0)
    guard = AccessGuard()
    guard.replace_keys([key])
    operated.app = AccessMiddleware(operated.app, guard)
    headers = {"authorization": f"Bearer {shown}"}
    both = {"routes": [declaration("mine"), declaration("yours")]}
    sentence = refused(operated.request("POST", "/api/apply", both, headers=headers), 403)
    assert "no scope operate on route yours" in sentence
    assert operated.store.routes() == []
    response = operated.request("POST", "/api/apply", {"routes": [declaration("mine")]}, headers=headers)
    assert response.json()[0]["who"].startswith("key shop")
    assert refused(operated.request("POST", "/api/restore", headers=headers), 403)
