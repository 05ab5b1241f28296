"""MLServer's types over gRPC, with its own converters and stubs. With `binary_in` it sends raw contents."""

import grpc
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.converters import (
    ModelInferRequestConverter,
    ModelInferResponseConverter,
    ModelMetadataResponseConverter,
    ServerMetadataResponseConverter,
)
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver_shared import answer, request
from wire import Json

_TIMEOUT_S = 60


class Client:
    def __init__(self, _http: str, grpc_address: str) -> None:
        self._stub = GRPCInferenceServiceStub(grpc.insecure_channel(grpc_address))

    def infer(self, ask: Json) -> Json:
        message = ModelInferRequestConverter.from_types(
            request(ask), ask["route"], model_version=ask["version"], use_raw=ask["binary_in"]
        )
        said = self._stub.ModelInfer(message, metadata=tuple(ask["headers"].items()), timeout=_TIMEOUT_S)
        return answer(ModelInferResponseConverter.to_types(said))

    def server_metadata(self) -> Json:
        said = self._stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=_TIMEOUT_S)
        return ServerMetadataResponseConverter.to_types(said).model_dump()

    def model_metadata(self, route: str) -> Json:
        said = self._stub.ModelMetadata(pb.ModelMetadataRequest(name=route), timeout=_TIMEOUT_S)
        return ModelMetadataResponseConverter.to_types(said).model_dump()

    def index(self) -> list[Json]:
        said = self._stub.RepositoryIndex(pb.RepositoryIndexRequest(), timeout=_TIMEOUT_S)
        return [{"name": each.name, "version": each.version, "state": each.state} for each in said.models]
