"""`POST /v2/rewards` hands bodies on, with the routes that the caller's key may reward."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from gateway.access.api_keys import make_key
from gateway.access.guard import AccessGuard
from gateway.access.middleware import AccessMiddleware
from gateway.api.app import create_app
from gateway.api.rewards import rewards_router
from gateway.errors import BadRequest, RewardsNotCounted
from tests.unit.gateway.api.operators.support import bare_app


class Sent:
    """What is sent on, and what comes of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, Any]] = []
        self.answer: bytes | Exception = b'{"results":[{"result":"counted"}]}'

    async def __call__(self, protocol: str, body: bytes, routes: Any) -> bytes:
        self.calls.append((protocol, body, routes))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def post(sent):
    """Return a function that posts a body, with a new key of these scopes, or without access control."""

    def send(body: bytes, *scopes: str) -> httpx.Response:
        nothing: Any = None
        app: Any = create_app(nothing, rewards_router(sent), rewards_router(sent), bytes)
        headers = {"content-type": "application/json"}
        if scopes:
            guard = AccessGuard()
            key, shown = make_key("ci", scopes, created_by="ada", now_s=time.time())
            guard.replace_keys([key])
            app, headers["x-api-key"] = AccessMiddleware(app, guard), shown

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.post("/v2/rewards", content=body, headers=headers)

        return asyncio.run(run())

    return send


def test_the_body_is_sent_on_as_it_is_and_the_answer_comes_back(post, sent):
    response = post(b"anything")
    assert (response.status_code, response.content) == (202, sent.answer)
    assert response.headers["content-type"] == "application/json"
    assert sent.calls == [("http", b"anything", None)]


def test_the_routes_of_the_key_go_with_it(post, sent):
    post(b"x", "reward")
    post(b"x", "reward:fraud", "reward:ranker", "read")
    assert [call[2] for call in sent.calls] == [None, frozenset({"fraud", "ranker"})]
    assert post(b"x", "predict", "read", "operate").status_code == 403
    assert len(sent.calls) == 2


def test_what_cannot_be_counted_is_503_and_may_be_sent_again(post, sent):
    sent.answer = RewardsNotCounted("The store does not answer. Send them again: each counts once.")
    response = post(b"x")
    assert (response.status_code, response.headers["x-error"]) == (503, "RewardsNotCounted")
    assert response.headers["retry-after"] == "1"
    assert response.json() == {"error": str(sent.answer)}


def test_a_body_that_is_no_list_is_400_and_one_that_is_too_large_413(post, sent):
    sent.answer = BadRequest("Send a list.")
    assert (post(b"x").status_code, post(b"x").json()) == (400, {"error": "Send a list."})
    assert post(bytes(5_000_000)).status_code == 413


def test_the_page_describes_a_reward_and_its_errors():
    (operation,) = bare_app().openapi()["paths"]["/v2/rewards"].values()
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["rewards"]["items"]["required"] == ["decision", "metric"]
    assert {"202", "400", "401", "403", "413", "503"} <= operation["responses"].keys()
    assert "RewardsNotCounted" in str(operation["responses"]["503"])
    assert "retry-after" in operation["responses"]["503"]["headers"]
    assert operation["security"][0] == {"bearer": ["reward"]}
