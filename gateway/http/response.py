"""Whole responses: those to errors, and the parts that all have."""

from typing import NamedTuple

from gateway.errors import advice_of, status_of
from gateway.protocols.request import Header, Headers
from gateway.protocols.v2_http import encode_error

JSON: Header = (b"content-type", b"application/json")
BINARY: Header = (b"content-type", b"application/octet-stream")
TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
CLOSE: Header = (b"connection", b"close")


class Response(NamedTuple):
    """A whole response."""

    status: int
    content: bytes
    headers: list[Header]


def response_of(status: int, content: bytes, extra: list[Header], kind: Header = JSON) -> Response:
    """Return the response with its length, and with these headers besides."""
    return Response(status, content, [kind, (b"content-length", str(len(content)).encode()), *extra])


def refusal(error: Exception, decision_id: str) -> Response:
    """Return the response to an error."""
    extra: list[Header] = [(b"x-decision-id", decision_id.encode()), *advice_of(error)]
    return response_of(status_of(error).http, encode_error(str(error)), extra)


def closing_refusal(error: Exception) -> Response:
    """Return the response to bytes that are no request, after which the connection ends."""
    return response_of(status_of(error).http, encode_error(str(error)), [*advice_of(error), CLOSE])


def closing_if_expected(response: Response, headers: Headers) -> Response:
    """Return the response, after which the connection ends if the client asked whether to send its body.

    It may send the body or not, so the next request could not be told from it.
    """
    if b"expect" in headers:
        response.headers.append(CLOSE)
    return response
