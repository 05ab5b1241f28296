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
from mlserver_shared import decode_response, encode_request
from wire import Json

_TIMEOUT_S = 60


class Client:
    def __init__(self, _http: str, grpc_address: str) -> None:
        self._stub = GRPCInferenceServiceStub(grpc.insecure_channel(grpc_address))

    def infer(self, request: Json) -> Json:
        message = ModelInferRequestConverter.from_types(
            encode_request(request), request["route"], model_version=request["version"], use_raw=request["binary_in"]
        )
        response = self._stub.ModelInfer(message, metadata=tuple(request["headers"].items()), timeout=_TIMEOUT_S)
        return decode_response(ModelInferResponseConverter.to_types(response))

    def server_metadata(self) -> Json:
        response = self._stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=_TIMEOUT_S)
        return ServerMetadataResponseConverter.to_types(response).model_dump()

    def model_metadata(self, route: str) -> Json:
        response = self._stub.ModelMetadata(pb.ModelMetadataRequest(name=route), timeout=_TIMEOUT_S)
        return ModelMetadataResponseConverter.to_types(response).model_dump()

    def index(self) -> list[Json]:
        response = self._stub.RepositoryIndex(pb.RepositoryIndexRequest(), timeout=_TIMEOUT_S)
        return [{"name": each.name, "version": each.version, "state": each.state} for each in response.models]
