"""The gRPC calls that tell instead of predict: health, metadata, statistics, the repository. Acts.

The answers are those of HTTP: `Metadata` gives them as JSON has them, and protobuf turns them into messages. None of
this is on the path of a prediction.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message

from gateway.errors import BadRequest, NotReady, WrongMethod
from gateway.grpc.connection import Method
from gateway.inference.metadata import Metadata
from gateway.inference.service import Guard
from gateway.protocols import open_inference_pb2 as pb
from gateway.protocols.request import Headers

Request = TypeVar("Request", bound=Message)

_READ = "read"
_LOAD = "Versions are loaded by the registry's sync and served by routes; use `pointsman apply` or `pointsman shift`."


class GrpcMetadata:
    """One per replica."""

    def __init__(self, describer: Metadata, is_ready: Callable[[], bool], guard: Guard | None) -> None:
        self._describer = describer
        self._is_ready = is_ready
        self._guard = guard

    def methods(self) -> dict[str, Method]:
        """By method."""
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
            self._describer.require_ready(request.name, request.version or None)
        except NotReady:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    def _server(self, _: pb.ServerMetadataRequest, headers: Headers) -> Message:
        self._admit(headers, None)
        return _filled(pb.ServerMetadataResponse(), self._describer.server())

    def _metadata(self, request: pb.ModelMetadataRequest, headers: Headers) -> Message:
        self._admit(headers, request.name)
        return _filled(pb.ModelMetadataResponse(), self._describer.metadata(request.name, request.version or None))

    def _config(self, request: pb.ModelConfigRequest, headers: Headers) -> Message:
        self._admit(headers, request.name)
        config = self._describer.config(request.name, request.version or None)
        return _filled(pb.ModelConfigResponse(), {"config": config})

    def _statistics(self, request: pb.ModelStatisticsRequest, headers: Headers) -> Message:
        route = request.name or None
        self._admit(headers, route)
        return _filled(pb.ModelStatisticsResponse(), self._describer.statistics(route, request.version or None))

    def _index(self, request: pb.RepositoryIndexRequest, headers: Headers) -> Message:
        self._admit(headers, None)
        return _filled(pb.RepositoryIndexResponse(), {"models": self._describer.index(only_ready=request.ready)})

    def _load(self, _: Message, __: Headers) -> Message:
        raise WrongMethod(_LOAD)

    def _admit(self, headers: Headers, route: str | None) -> None:
        if self._guard is not None:
            self._guard.admit(headers, _READ, route)


def _filled(message: Message, content: Mapping[str, Any]) -> Message:
    """The message that says what the JSON says, as far as it has fields for it."""
    return ParseDict(dict(content), message, ignore_unknown_fields=True)


def _method(kind: type[Request], answer: Callable[[Request, Headers], Message]) -> Method:
    async def handle(content: bytes, headers: Headers) -> bytes:
        return answer(_parsed(kind, content), headers).SerializeToString()

    return Method(handle)


def _parsed(kind: type[Request], content: bytes) -> Request:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise BadRequest(f"The bytes are not a {kind.DESCRIPTOR.name}.") from error
