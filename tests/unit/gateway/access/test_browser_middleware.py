"""The rules for browsers around an application, by themselves."""

import asyncio
import json
from typing import Any

import pytest

from gateway.access.browser import browser_policy
from gateway.access.browser_middleware import BrowserMiddleware, preflight_headers
from gateway.settings import Settings

_LISTED = "https://app.example.com"
_HOST = "127.0.0.1:8000"


def asked(
    kind: str = "http", method: str = "GET", path: str = "/v2", origins: str = _LISTED, **headers: str
) -> tuple[list[str], list[Any]]:
    """Return what the application was asked, and what was sent. The application answers 200 with one header."""
    reached: list[str] = []
    sent: list[Any] = []

    async def app(scope, _, send) -> None:
        reached.append(scope["type"])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"vary", b"accept-encoding")]})
            await send({"type": "http.response.body", "body": b"hello"})

    async def send(message) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": _HOST, **headers}.items()]
    scope: dict[str, Any] = {"type": kind}
    if kind == "http":
        scope |= {"method": method, "path": path, "headers": pairs}
    rules = BrowserMiddleware(app, browser_policy(Settings(cors_origins=origins), "vm17"))
    asyncio.run(rules(scope, None, send))
    return reached, sent


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_what_is_no_http_request_is_passed_on(kind):
    assert asked(kind) == ([kind], [])


@pytest.mark.parametrize("headers", [{}, {"origin": f"http://{_HOST}"}], ids=["no page", "our own"])
def test_a_request_of_our_own_gets_no_more_headers_unless_others_get_them(headers):
    reached, sent = asked(**headers, origins="")
    assert (reached, sent[0]["headers"]) == (["http"], [(b"vary", b"accept-encoding")])
    reached, sent = asked(**headers)
    assert (reached, sent[0]["headers"]) == (["http"], [(b"vary", b"accept-encoding"), (b"vary", b"origin")])


def test_a_foreign_page_does_not_reach_the_application():
    reached, (start, body) = asked(origin="http://evil.example")
    assert (reached, start["status"]) == ([], 403)
    assert "evil.example" in json.loads(body["body"])["error"]
    assert b"access-control-allow-origin" not in dict(start["headers"])
    assert (b"vary", b"origin") in start["headers"]


def test_a_page_of_a_listed_origin_may_read_the_response_and_no_cache_mixes_them_up():
    reached, (start, body) = asked(origin=_LISTED, sec_fetch_site="cross-site")
    assert (reached, start["status"], body["body"]) == (["http"], 200, b"hello")
    assert (b"vary", b"origin") in start["headers"]
    assert (b"vary", b"accept-encoding") in start["headers"]
    headers = dict(start["headers"])
    assert headers[b"access-control-allow-origin"] == _LISTED.encode()
    assert {b"x-decision-id", b"x-decision-token", b"x-error", b"etag"} <= set(
        headers[b"access-control-expose-headers"].split(b", ")
    )


def test_a_refusal_can_be_read_by_a_page_of_a_listed_origin():
    reached, (start, _) = asked(method="POST", path="/api/restore", origin=_LISTED)
    assert (reached, start["status"]) == ([], 403)
    assert dict(start["headers"])[b"access-control-allow-origin"] == _LISTED.encode()


def test_a_preflight_is_answered_without_the_application():
    asks = {"access_control_request_method": "PUT", "access_control_request_headers": "if-match,x-pointsman"}
    reached, (start, body) = asked(method="OPTIONS", origin=_LISTED, **asks)
    assert (reached, start["status"], body["body"]) == ([], 204, b"")
    headers = dict(start["headers"])
    assert headers[b"access-control-allow-methods"] == b"GET, HEAD, POST, PUT, DELETE"
    assert headers[b"access-control-allow-headers"] == b"if-match,x-pointsman"
    assert int(headers[b"access-control-max-age"]) > 0
    assert headers[b"vary"] == b"origin"
    assert asked(method="OPTIONS", origin="http://evil.example", **asks)[1][0]["status"] == 403


def test_only_a_preflight_is_one():
    assert asked(method="OPTIONS", origin=_LISTED)[0] == ["http"]
    assert asked(method="GET", origin=_LISTED, access_control_request_method="GET")[0] == ["http"]
    assert preflight_headers("OPTIONS", {}) is None
