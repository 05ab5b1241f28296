"""Refuses bodies in which an object has a key twice. Python would silently keep the last value, as would most parsers.

YAML files are read the same way (`gateway.cli.route_files`).
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from gateway.errors import BadRequest
from router.refusals import short_repr

_AT_ONCE_BYTES = 64 * 1024
"""Larger bodies are checked in a thread."""


class StrictRoute(APIRoute):
    """A handler whose JSON body has no key twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with the check before it."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            body = await request.body()
            if len(body) > _AT_ONCE_BYTES:
                await run_in_threadpool(refuse_repeated_keys, body)
            elif body:
                refuse_repeated_keys(body)
            return await handle(request)

        return checked


def refuse_repeated_keys(body: bytes) -> None:
    """Reject JSON that has a key twice. What is no JSON is left to the parser behind.

    Raises:
        BadRequest: an object has a key twice.
    """
    try:
        json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise BadRequest(f"The body has the key {short_repr(key)} twice in one object; say which value counts.")
        found[key] = value
    return found
