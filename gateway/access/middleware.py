"""Asks the guard before every request that the FastAPI application answers. A plain ASGI middleware. Acts.

Whoever is let through is the operator that the history names: the authenticated name comes first, and what the
caller says of himself in `x-operator` follows in brackets.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from gateway.access.caller import Caller
from gateway.access.guard import AccessGuard
from gateway.access.path_scopes import scope_for
from gateway.errors import GatewayError, advice_of, status_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPERATOR = b"x-operator"
_STATE = "caller"
_POLICY_VIOLATION = 1008


class AccessMiddleware:
    """Around one application."""

    def __init__(self, app: App, guard: AccessGuard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            try:
                admitted = self._admit(scope)
            except GatewayError as error:
                await _refuse(send, error)
            else:
                await self._app(admitted, receive, send)

    def _admit(self, scope: Scope) -> Scope:
        wanted = scope_for(scope["method"], scope["path"])
        if wanted is None:
            return scope
        caller = self._guard.identify(dict(scope["headers"]))
        if not (wanted.route_later and wanted.scope in caller.grants):
            caller.require(wanted.scope, wanted.route)
        return _named(scope, caller)


def caller_of(scope: Scope) -> Caller | None:
    """Who was let through, for handlers that learn later which routes are meant; None if everybody is."""
    caller = scope.get("state", {}).get(_STATE)
    return caller if isinstance(caller, Caller) else None


def _named(scope: Scope, caller: Caller) -> Scope:
    said = b", ".join(value for name, value in scope["headers"] if name == _OPERATOR)
    operator = caller.name.encode() + (b" (" + said + b")" if said else b"")
    headers = [each for each in scope["headers"] if each[0] != _OPERATOR]
    return {**scope, "headers": [*headers, (_OPERATOR, operator)], "state": {**scope.get("state", {}), _STATE: caller}}


async def _refuse(send: Send, error: GatewayError) -> None:
    content = orjson.dumps({"error": str(error)})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        *advice_of(error),
    ]
    await send({"type": "http.response.start", "status": status_of(error).http, "headers": headers})
    await send({"type": "http.response.body", "body": content})
