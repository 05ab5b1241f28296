"""An ASGI middleware that asks the guard before each request to the FastAPI application.

The caller is the operator that the history names. The authenticated name comes first, and the value of `x-operator`
follows in brackets.
"""

import contextlib

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.caller import Caller
from gateway.access.guard import AccessGuard
from gateway.access.path_scopes import scope_for
from gateway.errors import GatewayError, advice_of, status_of

_OPERATOR = b"x-operator"
_STATE = "caller"
_STRANGER = "stranger"
_POLICY_VIOLATION = 1008


class AccessMiddleware:
    """The guard around one application."""

    def __init__(self, app: ASGIApp, guard: AccessGuard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an admitted request on, or send an error. Close WebSockets: the application has none."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            try:
                admitted = self._admit(scope)
            except GatewayError as error:
                await send_error(send, error)
            else:
                await self._app(admitted, receive, send)

    def _admit(self, scope: Scope) -> Scope:
        needed = scope_for(scope["method"], scope["path"])
        if needed is None:
            return self._as_known(scope)
        caller = self._guard.identify(dict(scope["headers"]))
        if not (needed.routes_in_body and needed.scope in caller.grants):
            caller.require(needed.scope, needed.route)
        return _with_caller(scope, caller)

    def _as_known(self, scope: Scope) -> Scope:
        """Return the scope of a request that needs no credential, with the caller if it has a valid one."""
        headers = dict(scope["headers"])
        with contextlib.suppress(GatewayError):
            if b"authorization" in headers or b"x-api-key" in headers:
                return _with_caller(scope, self._guard.identify(headers))
        return {**scope, "state": {**scope.get("state", {}), _STRANGER: True}}


def is_stranger(scope: Scope) -> bool:
    """Return True if access is required, and the request came without a valid credential."""
    return bool(scope.get("state", {}).get(_STRANGER))


def caller_of(scope: Scope) -> Caller | None:
    """Return the caller, for handlers that read the routes from the body; None if no credential was needed."""
    caller = scope.get("state", {}).get(_STATE)
    return caller if isinstance(caller, Caller) else None


def _with_caller(scope: Scope, caller: Caller) -> Scope:
    claimed = b", ".join(value for name, value in scope["headers"] if name == _OPERATOR)
    operator = caller.name.encode() + (b" (" + claimed + b")" if claimed else b"")
    headers = [each for each in scope["headers"] if each[0] != _OPERATOR]
    return {**scope, "headers": [*headers, (_OPERATOR, operator)], "state": {**scope.get("state", {}), _STATE: caller}}


async def send_error(send: Send, error: GatewayError) -> None:
    """Send the response to an error."""
    content = orjson.dumps({"error": str(error)})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        *advice_of(error),
    ]
    await send({"type": "http.response.start", "status": status_of(error).http, "headers": headers})
    await send({"type": "http.response.body", "body": content})
