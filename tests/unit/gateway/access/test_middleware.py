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
def send(guard, wall):
    """Return a function that sends a request with a new key of these scopes, or without a key if they are None."""

    def request(method: str, path: str, scopes=None, headers=None, times: int = 1, **more) -> httpx.Response:
        sent = list(headers or [])
        if scopes is not None:
            key, shown = make_key("ci", scopes, created_by="ada", now_s=wall.now_s, **more)
            guard.replace_keys([key])
            sent.append(("authorization", f"Bearer {shown}"))

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(AccessMiddleware(application(), guard))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                for _ in range(times):
                    response = await client.request(method, path, headers=sent)
                return response

        return asyncio.run(run())

    return request


def test_without_a_key_it_is_401_and_says_how_to_send_one(send):
    response = send("GET", "/api/status")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-error"] == "Unauthenticated"
    assert response.headers["content-type"] == "application/json"
    assert "POINTSMAN_KEY" in response.json()["error"]


def test_a_missing_scope_is_403_and_named(send):
    response = send("PUT", "/api/routes/fraud", ["read"])
    assert (response.status_code, response.headers["x-error"]) == (403, "Forbidden")
    assert "no scope operate on route fraud" in response.json()["error"]
    assert "www-authenticate" not in response.headers


def test_a_limit_to_routes_holds_for_the_route_in_the_path(send):
    for path in ("/api/routes/ranker/shift", "/api/routes"):
        assert send("POST", path, ["operate"], routes=["fraud"]).status_code == 403
    assert send("POST", "/api/routes/fraud/shift", ["operate"], routes=["fraud"]).status_code == 200
    assert send("POST", "/api/routes/ranker%2Ffraud/shift", ["operate"], routes=["fraud"]).status_code == 403


def test_above_the_rate_it_is_429_with_retry_after(send):
    response = send("GET", "/api/status", ["read"], rate_per_s=0.25, burst=2, times=3)
    assert (response.status_code, response.headers["x-error"]) == (429, "RateLimited")
    assert response.headers["retry-after"] == "4"
    assert send("GET", "/api/status", ["read"], rate_per_s=100, burst=1, times=2).headers["retry-after"] == "1"


def test_health_is_open(send):
    for path in ("/v2/health/live", "/v2/health/ready", "/-/healthz"):
        response = send("GET", path)
        assert (response.status_code, response.json()["caller"]) == (200, None)


def test_the_history_names_the_key_before_x_operator(send):
    spoofed = [("x-operator", "root"), ("X-Operator", "admin")]
    response = send("POST", "/api/routes/fraud/shift", ["operate"], headers=spoofed).json()
    assert response["operators"] == ["key ci (root, admin)"]
    assert response["caller"] == "key ci"
    assert send("POST", "/api/routes/fraud/shift", ["operate"]).json()["operators"] == ["key ci"]


def test_the_routes_of_rewards_are_checked_by_their_handler(send):
    bounded = send("POST", "/v2/rewards", ["reward"], routes=["fraud"])
    assert (bounded.status_code, bounded.json()["may_reward_fraud"]) == (200, True)
    assert send("POST", "/v2/rewards", ["reward:ranker"]).json()["may_reward_fraud"] is False
    assert send("POST", "/v2/rewards").status_code == 401
    assert send("POST", "/v2/rewards", ["read", "predict", "operate"]).status_code == 403


def test_only_http_and_lifespan_are_passed_on(guard):
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


def test_an_exception_of_the_application_is_raised(guard, wall):
    async def app(scope, receive, send) -> None:
        raise RuntimeError("a bug")

    scope = {"type": "http", "method": "GET", "path": "/v2/health/live", "headers": []}
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(AccessMiddleware(app, guard)(scope, None, None))
