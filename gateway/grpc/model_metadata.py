"""The calls of the inference service that do not predict: readiness, metadata, statistics, the repository.

The responses are those of HTTP: `Metadata` returns them in the form of JSON, and protobuf turns them into messages. No
prediction passes through here.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message

from gateway.errors import BadRequest, NotReady, NotSupported
from gateway.grpc.method import SMALL_MESSAGE_BYTES, Method
from gateway.inference.guard import Guard
from gateway.inference.metadata import NO_LOADING, Metadata
from gateway.protocols import open_inference_pb2 as pb
from gateway.protocols.request import Headers

RequestMessage = TypeVar("RequestMessage", bound=Message)

_READ = "read"


class GrpcMetadata:
    """These calls of one replica. `guard` is None if access is not restricted."""

    def __init__(self, metadata: Metadata, is_ready: Callable[[], bool], guard: Guard | None) -> None:
        self._source = metadata
        self._is_ready = is_ready
        self._guard = guard

    def methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {
            "ServerLive": _method(pb.ServerLiveRequest, self._live),
            "ServerReady": _method(pb.ServerReadyRequest, self._ready),
            "ModelReady": _method(pb.ModelReadyRequest, self._model_ready),
            "ServerMetadata": _method(pb.ServerMetadataRequest, self._server),
            "ModelMetadata": _method(pb.ModelMetadataRequest, self._metadata),
            "ModelConfig": _method(pb.ModelConfigRequest, self._config),
            "ModelStatistics": _method(pb.ModelStatisticsRequest, self._statistics),
            "RepositoryIndex": _method(pb.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": _method(pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": _method(pb.RepositoryModelUnloadRequest, self._load),
        }

    def _live(self, _: pb.ServerLiveRequest, __: Headers) -> Message:
        return pb.ServerLiveResponse(live=True)

    def _ready(self, _: pb.ServerReadyRequest, __: Headers) -> Message:
        return pb.ServerReadyResponse(ready=self._is_ready())

    def _model_ready(self, request: pb.ModelReadyRequest, headers: Headers) -> Message:
        self._admit(headers, request.name)
        try:
            self._source.require_ready(request.name, request.version or None)
        except NotReady:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    def _server(self, _: pb.ServerMetadataRequest, headers: Headers) -> Message:
        self._admit(headers, None)
        return _filled(pb.ServerMetadataResponse(), self._source.server())

    def _metadata(self, request: pb.ModelMetadataRequest, headers: Headers) -> Message:
        self._admit(headers, request.name)
        found = self._source.metadata(request.name, request.version or None)
        described = {name: value for name, value in found.items() if name != "properties"}  # unset: see the .proto
        return _filled(pb.ModelMetadataResponse(), described)

    def _config(self, request: pb.ModelConfigRequest, headers: Headers) -> Message:
        self._admit(headers, request.name)
        config = self._source.config(request.name, request.version or None)
        return _filled(pb.ModelConfigResponse(), {"config": config})

    def _statistics(self, request: pb.ModelStatisticsRequest, headers: Headers) -> Message:
        route = request.name or None
        self._admit(headers, route)
        return _filled(pb.ModelStatisticsResponse(), self._source.statistics(route, request.version or None))

    def _index(self, request: pb.RepositoryIndexRequest, headers: Headers) -> Message:
        self._admit(headers, None)
        return _filled(pb.RepositoryIndexResponse(), {"models": self._source.index(only_ready=request.ready)})

    def _load(self, _: Message, __: Headers) -> Message:
        raise NotSupported(NO_LOADING)

    def _admit(self, headers: Headers, route: str | None) -> None:
        if self._guard is not None:
            self._guard.admit(headers, _READ, route)


def _filled(message: Message, content: Mapping[str, Any]) -> Message:
    """Return `message` filled from the JSON. Members for which it has no field are left out."""
    return ParseDict(dict(content), message, ignore_unknown_fields=True)


def _method(kind: type[RequestMessage], respond: Callable[[RequestMessage, Headers], Message]) -> Method:
    async def handle(content: bytes, headers: Headers) -> bytes:
        return respond(_parsed(kind, content), headers).SerializeToString()

    return Method(handle, max_message_bytes=SMALL_MESSAGE_BYTES)


def _parsed(kind: type[RequestMessage], content: bytes) -> RequestMessage:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise BadRequest(f"The bytes are not a {kind.DESCRIPTOR.name}.") from error
