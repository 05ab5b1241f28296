"""The application behind the guard."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request

from gateway.access.api_keys import make_key
from gateway.access.guard import AccessGuard
from gateway.access.middleware import AccessMiddleware, caller_of


def application() -> FastAPI:
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT"])
    def echo(path: str, request: Request) -> dict[str, object]:
        caller = caller_of(request.scope)
        return {
            "path": path,
            "operators": request.headers.getlist("x-operator"),
            "caller": caller and caller.name,
            "may_reward_fraud": caller is not None and caller.may("reward", "fraud"),
        }

    return app


@pytest.fixture
def guard(wall, clock) -> AccessGuard:
    return AccessGuard(wall_s=wall, clock_s=clock)


@pytest.fixture
def ask(guard, wall):
    """Sends a request with a new key of these scopes; None sends no key."""

    def send(method: str, path: str, scopes=None, headers=None, times: int = 1, **more) -> httpx.Response:
        sent = list(headers or [])
        if scopes is not None:
            key, shown = make_key("ci", scopes, created_by="ada", now_s=wall.now_s, **more)
            guard.replace_keys([key])
            sent.append(("authorization", f"Bearer {shown}"))

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(AccessMiddleware(application(), guard))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                for _ in range(times):
                    answer = await client.request(method, path, headers=sent)
                return answer

        return asyncio.run(run())

    return send


def test_without_a_key_it_is_401_with_the_way_in(ask):
    answer = ask("GET", "/api/status")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-error"] == "Unauthenticated"
    assert answer.headers["content-type"] == "application/json"
    assert "POINTSMAN_KEY" in answer.json()["error"]


def test_a_wrong_scope_is_403_with_what_is_lacking(ask):
    answer = ask("PUT", "/api/routes/fraud", ["read"])
    assert (answer.status_code, answer.headers["x-error"]) == (403, "Forbidden")
    assert "no scope operate on route fraud" in answer.json()["error"]
    assert "www-authenticate" not in answer.headers


def test_a_limit_to_routes_holds_for_the_route_in_the_path(ask):
    for path in ("/api/routes/ranker/shift", "/api/routes"):
        assert ask("POST", path, ["operate"], routes=["fraud"]).status_code == 403
    assert ask("POST", "/api/routes/fraud/shift", ["operate"], routes=["fraud"]).status_code == 200
    assert ask("POST", "/api/routes/ranker%2Ffraud/shift", ["operate"], routes=["fraud"]).status_code == 403


def test_too_often_is_429_with_the_time_to_come_back(ask):
    answer = ask("GET", "/api/status", ["read"], rate_per_s=0.25, burst=2, times=3)
    assert (answer.status_code, answer.headers["x-error"]) == (429, "RateLimited")
    assert answer.headers["retry-after"] == "4"
    assert ask("GET", "/api/status", ["read"], rate_per_s=100, burst=1, times=2).headers["retry-after"] == "1"


def test_health_is_open(ask):
    for path in ("/v2/health/live", "/v2/health/ready", "/-/healthz"):
        answer = ask("GET", path)
        assert (answer.status_code, answer.json()["caller"]) == (200, None)


def test_the_history_names_whoever_showed_the_key_first(ask):
    spoofed = [("x-operator", "root"), ("X-Operator", "admin")]
    answer = ask("POST", "/api/routes/fraud/shift", ["operate"], headers=spoofed).json()
    assert answer["operators"] == ["key ci (root, admin)"]
    assert answer["caller"] == "key ci"
    assert ask("POST", "/api/routes/fraud/shift", ["operate"]).json()["operators"] == ["key ci"]


def test_rewards_are_asked_for_route_by_route_by_their_handler(ask):
    bounded = ask("POST", "/v2/rewards", ["reward"], routes=["fraud"])
    assert (bounded.status_code, bounded.json()["may_reward_fraud"]) == (200, True)
    assert ask("POST", "/v2/rewards", ["reward:ranker"]).json()["may_reward_fraud"] is False
    assert ask("POST", "/v2/rewards").status_code == 401
    assert ask("POST", "/v2/rewards", ["read", "predict", "operate"]).status_code == 403


def test_only_http_and_the_applications_own_start_come_through(guard):
    reached, sent = [], []

    async def app(scope, receive, send) -> None:
        reached.append(scope["type"])

    async def send(message) -> None:
        sent.append(message)

    guarded = AccessMiddleware(app, guard)
    for kind in ("lifespan", "websocket"):
        asyncio.run(guarded({"type": kind, "path": "/", "headers": []}, None, send))
    assert reached == ["lifespan"]
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_fault_of_the_application_is_not_hidden(guard, wall):
    async def app(scope, receive, send) -> None:
        raise RuntimeError("a fault")

    scope = {"type": "http", "method": "GET", "path": "/v2/health/live", "headers": []}
    with pytest.raises(RuntimeError, match="a fault"):
        asyncio.run(AccessMiddleware(app, guard)(scope, None, None))
