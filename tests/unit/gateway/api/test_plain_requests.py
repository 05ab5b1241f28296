"""What the application sees of a HEAD and of a slash at the end, and what the client gets. A server may hide both."""

import asyncio
from typing import Any

import pytest

from gateway.api.plain_requests import PlainRequests


def passed_on(kind: str = "http", method: str = "GET", path: str = "/v2") -> tuple[dict[str, Any], list[Any]]:
    """Return the scope that the application gets, and what is sent when it answers with two chunks."""
    seen: list[dict[str, Any]] = []
    sent: list[Any] = []

    async def app(scope, _, send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})
        await send({"type": "http.response.body", "body": b"lo"})

    async def send(message) -> None:
        sent.append(message)

    asyncio.run(PlainRequests(app)({"type": kind, "method": method, "path": path}, None, send))
    return seen[0], sent


@pytest.mark.parametrize(
    ("path", "plain"), [("/v2", "/v2"), ("/v2/", "/v2"), ("/", "/"), ("", ""), ("/v2//", "/v2/"), ("//", "/")]
)
def test_one_slash_at_the_end_is_left_out(path, plain):
    assert passed_on(path=path)[0]["path"] == plain


def test_a_head_is_a_get_without_a_body():
    scope, (start, *body) = passed_on(method="HEAD")
    assert scope["method"] == "GET"
    assert start["headers"] == [(b"content-length", b"5")]
    assert [(each["body"], each.get("more_body", False)) for each in body] == [(b"", True), (b"", False)]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_passed_on_with_its_body(method):
    scope, (_, *body) = passed_on(method=method)
    assert scope["method"] == method
    assert b"".join(each["body"] for each in body) == b"hello"


def test_what_is_no_http_request_is_passed_on():
    assert passed_on("lifespan", path="/v2/")[0]["path"] == "/v2/"
