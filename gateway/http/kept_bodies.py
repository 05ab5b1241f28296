"""Keeps the bodies of predictions over HTTP, around the work that answers them."""

from collections.abc import Coroutine
from typing import Any

from gateway.errors import STATUS_OF
from gateway.http.response import Response
from gateway.http.scoring import Targets
from gateway.inference.payloads import Payloads
from gateway.protocols.request import Headers

_DECISION = b"x-decision-id"


async def with_kept_bodies(
    work: Coroutine[Any, Any, Response],
    payloads: Payloads,
    targets: Targets,
    path: str,
    headers: Headers,
    body: bytes | memoryview,
) -> Response:
    """Return the response that `work` makes, once the bodies are in the log, if the request's route keeps them."""
    try:
        target, _ = targets.find(path, headers)
    except tuple(STATUS_OF):
        return await work
    if target.route not in payloads.routes():
        return await work
    sent = payloads.sent(body)
    del body
    response = await work
    decision_id = next((value.decode() for name, value in response.headers if name == _DECISION), "")
    if decision_id:
        payloads.keep(
            target.route,
            decision_id,
            target.door,
            response.status,
            (sent, headers),
            (response.content, response.headers),
        )
    return response
