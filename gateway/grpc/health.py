"""gRPC's own health service, `grpc.health.v1.Health`: what load balancers and Kubernetes' probes ask. Decides.

There is one answer for the process as a whole and for the inference service, and it is looked up when asked.
"""

from collections.abc import Callable

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from gateway.errors import BadRequest, UnknownService
from gateway.grpc.connection import Method
from gateway.grpc.http2.headers import Headers

SERVICE = "grpc.health.v1.Health"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Serving while `is_ready` says so, until it drains."""

    def __init__(self, services: tuple[str, ...], is_ready: Callable[[], bool]) -> None:
        self.draining = False
        self._services = frozenset(("", *services))
        self._is_ready = is_ready

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {"Check": Method(self._check), "Watch": Method(self._watch, stays=True)}

    def is_serving(self) -> bool:
        """Whether calls are welcome now."""
        return self._is_ready() and not self.draining

    async def _check(self, content: bytes, _: Headers) -> bytes:
        service = _asked(content)
        status = self._status(service)
        if status == _SERVICE_UNKNOWN:
            raise UnknownService(f"There is no service {service[:200]!r} here.")
        return _said(status)

    async def _watch(self, content: bytes, _: Headers) -> bytes:
        return _said(self._status(_asked(content)))

    def _status(self, service: str) -> int:
        if service not in self._services:
            return _SERVICE_UNKNOWN
        return _SERVING if self.is_serving() else _NOT_SERVING


def _said(status: int) -> bytes:
    content: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    return content


def _asked(content: bytes) -> str:
    try:
        return health_pb2.HealthCheckRequest.FromString(content).service
    except DecodeError as error:
        raise BadRequest("The bytes are not a HealthCheckRequest.") from error
