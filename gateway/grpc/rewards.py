"""Rewards over gRPC: `pointsman.Rewards`, the same as `POST /v2/rewards`."""

import asyncio

from gateway.access.guard import AccessGuard
from gateway.eventloop.driver import Pending
from gateway.grpc.http2.headers import HeaderMap
from gateway.grpc.method import Method
from gateway.protocols.rewards import SendRewards

SERVICE = "pointsman.Rewards"
_SCOPE = "reward"
_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""As the body over HTTP."""


class GrpcRewards:
    """One per replica. `guard` is None if access is not restricted."""

    def __init__(self, send: SendRewards, guard: AccessGuard | None) -> None:
        self._send = send
        self._guard = guard
        self._tasks: set[asyncio.Task[bytes]] = set()

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        check = None if self._guard is None else self._check
        return {"Send": Method(self._answer, check_caller=check, max_message_bytes=_MAX_MESSAGE_BYTES)}

    def _check(self, headers: HeaderMap) -> None:
        if self._guard is not None:
            self._guard.check_scope(headers, _SCOPE)

    async def _answer(self, content: bytes, headers: HeaderMap) -> bytes:
        """Return the response. The rewards count, also if the client leaves meanwhile."""
        routes = None
        if self._guard is not None:
            caller = self._guard.identify(headers)
            caller.require_on_some_route(_SCOPE)
            routes = caller.grants[_SCOPE]
        pending: Pending[bytes] = Pending()

        def settle(done: asyncio.Task[bytes]) -> None:
            self._tasks.discard(done)
            error = done.exception()
            if error is None:
                pending.succeed(done.result())
            else:
                pending.fail(error)

        task = asyncio.get_running_loop().create_task(self._work(content, routes))
        self._tasks.add(task)
        task.add_done_callback(settle)
        return await pending

    async def _work(self, content: bytes, routes: frozenset[str] | None) -> bytes:
        return await self._send("grpc", content, routes)
