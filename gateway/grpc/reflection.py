"""Server reflection: what tools such as grpcurl ask to learn the methods and messages. Decides."""

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from gateway.errors import BadRequest
from gateway.grpc.connection import Method
from gateway.grpc.http2.headers import Headers
from gateway.protocols import open_inference_pb2

V1ALPHA, V1 = "grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"
"""The same messages under two names."""


class Reflection:
    """One per replica. `open_inference_pb2` has a pool of its own, so that its names may be another's as well."""

    def __init__(self, services: tuple[str, ...]) -> None:
        pool = DescriptorPool()
        for module in (open_inference_pb2, health_pb2, reflection_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        self._servicer = reflection.ReflectionServicer((*services, V1ALPHA), pool)

    def methods(self) -> dict[str, Method]:
        """By name."""
        return {"ServerReflectionInfo": Method(self._answer, is_stream=True)}

    async def _answer(self, content: bytes, _: Headers) -> bytes:
        try:
            request = reflection_pb2.ServerReflectionRequest.FromString(content)
        except DecodeError as error:
            raise BadRequest("The bytes are not a ServerReflectionRequest.") from error
        nobody: Any = None  # the context, of which the servicer makes no use
        (answer,) = self._servicer.ServerReflectionInfo(iter([request]), nobody)
        said: bytes = answer.SerializeToString()
        return said
