"""Server reflection, with which tools such as grpcurl list the methods and messages."""

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from gateway.errors import BadRequest
from gateway.grpc.http2.headers import HeaderMap
from gateway.grpc.method import SMALL_MESSAGE_BYTES, Method
from gateway.protocols import open_inference_pb2, rewards_pb2

V1ALPHA, V1 = "grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"
"""Two names of the same service, with the same messages."""


class Reflection:
    """The reflection service of one replica.

    The modules of messages have descriptor pools of their own, because another library in the process may define the
    same names. So the pool for reflection is built here.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        pool = DescriptorPool()
        for module in (open_inference_pb2, rewards_pb2, health_pb2, reflection_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        self._servicer = reflection.ReflectionServicer((*services, V1ALPHA), pool)

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {"ServerReflectionInfo": Method(self._respond, is_stream=True, max_message_bytes=SMALL_MESSAGE_BYTES)}

    async def _respond(self, content: bytes, _: HeaderMap) -> bytes:
        try:
            request = reflection_pb2.ServerReflectionRequest.FromString(content)
        except DecodeError as error:
            raise BadRequest("The bytes are not a ServerReflectionRequest.") from error
        unused_context: Any = None
        (response,) = self._servicer.ServerReflectionInfo(iter([request]), unused_context)
        serialised: bytes = response.SerializeToString()
        return serialised
