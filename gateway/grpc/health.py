"""gRPC's own health service, `grpc.health.v1.Health`, which load balancers and Kubernetes' probes call.

There is one status for the whole process and for the inference service. It is determined at each call.
"""

from collections.abc import Callable

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from gateway.errors import BadRequest, UnknownService
from gateway.grpc.http2.headers import HeaderMap
from gateway.grpc.method import SMALL_MESSAGE_BYTES, Method

SERVICE = "grpc.health.v1.Health"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """The health service of one replica. It is serving while `is_ready` returns True and `draining` is not set."""

    def __init__(self, services: tuple[str, ...], is_ready: Callable[[], bool]) -> None:
        self.draining = False
        self._services = frozenset(("", *services))
        self._is_ready = is_ready

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "Check": Method(self._check, max_message_bytes=SMALL_MESSAGE_BYTES),
            "Watch": Method(self._watch, is_watch=True, max_message_bytes=SMALL_MESSAGE_BYTES),
        }

    def is_serving(self) -> bool:
        """Return True if clients should send calls to this replica."""
        return self._is_ready() and not self.draining

    async def _check(self, content: bytes, _: HeaderMap) -> bytes:
        service = _service_in(content)
        status = self._status(service)
        if status == _SERVICE_UNKNOWN:
            raise UnknownService(f"There is no service {service[:200]!r} here.")
        return _response(status)

    async def _watch(self, content: bytes, _: HeaderMap) -> bytes:
        return _response(self._status(_service_in(content)))

    def _status(self, service: str) -> int:
        if service not in self._services:
            return _SERVICE_UNKNOWN
        return _SERVING if self.is_serving() else _NOT_SERVING


def _response(status: int) -> bytes:
    content: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
    return content


def _service_in(content: bytes) -> str:
    try:
        return health_pb2.HealthCheckRequest.FromString(content).service
    except DecodeError as error:
        raise BadRequest("The bytes are not a HealthCheckRequest.") from error
