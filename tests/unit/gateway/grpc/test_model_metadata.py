"""The metadata of the server and its routes over gRPC: the same as over HTTP, as messages."""

import asyncio
from typing import Any

import pytest

from gateway.errors import Forbidden, NotReady
from gateway.grpc.model_metadata import GrpcMetadata
from gateway.protocols import open_inference_pb2 as pb
from router.errors import UnknownRoute, UnknownVersion
from tests.unit.gateway.grpc.support import serving

METADATA = {
    "name": "r",
    "versions": ["7"],
    "platform": "pointsman_route",
    "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
    "properties": {"beyond": "the protocol"},
}
CONFIG = {
    "name": "r",
    "platform": "onnx_onnxv1",
    "backend": "onnxruntime",
    "max_batch_size": 64,
    "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [2], "format": "FORMAT_NONE"}],
    "output": [{"name": "label", "data_type": "TYPE_INT64", "dims": []}],
    "version_policy": {"latest": {"num_versions": 1}},
}
STATISTICS = {
    "model_stats": [
        {
            "name": "r",
            "version": "7",
            "last_inference": 2**63,
            "inference_count": "3",
            "inference_stats": {"success": {"count": 3, "ns": 9}},
            "batch_stats": [{"batch_size": 2, "compute_infer": {"count": 1, "ns": 5}}],
        }
    ]
}
INDEX = [
    {"name": "r", "version": "7", "state": "READY", "reason": ""},
    {"name": "q", "version": "1", "state": "UNAVAILABLE", "reason": "It is quarantined."},
]


class StubMetadata:
    """Metadata of the route `r`. The route `late` is declared, but cannot be served yet."""

    def server(self) -> dict[str, Any]:
        return {"name": "pointsman", "version": "1", "extensions": ["parameters", "binary_tensor_data"]}

    def metadata(self, route: str, version: str | None) -> dict[str, Any]:
        if route == "late":
            raise NotReady("Route late is declared but cannot be served.")
        if route != "r":
            raise UnknownRoute(f"There is no route {route!r}.")
        if version not in (None, "7"):
            raise UnknownVersion(f"There is no version {version}.")
        return METADATA

    def config(self, route: str, version: str | None) -> dict[str, Any]:
        self.metadata(route, version)
        return CONFIG

    def statistics(self, route: str | None, version: str | None) -> dict[str, Any]:
        self.metadata(route or "r", version)
        return STATISTICS

    def require_ready(self, route: str, version: str | None) -> None:
        self.metadata(route, version)

    def index(self, *, only_ready: bool) -> list[dict[str, Any]]:
        return INDEX[:1] if only_ready else INDEX


class Reader:
    """A guard that lets callers read if they send `say: please`."""

    def admit(self, headers: Any, scope: str, route: str | None) -> None:
        assert scope == "read"
        if headers.get(b"say") != b"please":
            raise Forbidden(f"You may not read {route}.")


def call(method: str, message: Any = None, *, ready: bool = True, guard: Any = None, **more: Any) -> bytes:
    async def run() -> bytes:
        methods = GrpcMetadata(StubMetadata(), lambda: ready, guard).methods()
        async with serving(methods) as served:
            content: bytes = await served.client.call(method, message.SerializeToString() if message else b"", **more)
            return content

    return asyncio.run(run())


def failure(method: str, message: Any = None, content: bytes = b"", guard: Any = None) -> tuple[str, str]:
    async def run() -> tuple[str, str]:
        methods = GrpcMetadata(StubMetadata(), lambda: True, guard).methods()
        async with serving(methods) as served:
            code, sentence, _ = await served.client.failure(method, message.SerializeToString() if message else content)
            return code, sentence

    return asyncio.run(run())


def test_the_server_is_live_and_reports_whether_it_is_ready():
    assert pb.ServerLiveResponse.FromString(call("ServerLive")).live
    assert pb.ServerReadyResponse.FromString(call("ServerReady")).ready
    assert not pb.ServerReadyResponse.FromString(call("ServerReady", ready=False)).ready


def test_the_metadata_of_the_server():
    got = pb.ServerMetadataResponse.FromString(call("ServerMetadata"))
    assert (got.name, got.version, list(got.extensions)) == ("pointsman", "1", ["parameters", "binary_tensor_data"])


@pytest.mark.parametrize("version", ["", "7"])
def test_a_route_that_is_served_is_ready(version):
    assert pb.ModelReadyResponse.FromString(call("ModelReady", pb.ModelReadyRequest(name="r", version=version))).ready


def test_a_route_that_is_declared_is_not_ready_and_others_are_unknown():
    assert not pb.ModelReadyResponse.FromString(call("ModelReady", pb.ModelReadyRequest(name="late"))).ready
    assert failure("ModelReady", pb.ModelReadyRequest(name="z")) == ("NOT_FOUND", "There is no route 'z'.")
    assert failure("ModelReady", pb.ModelReadyRequest(name="r", version="8"))[0] == "NOT_FOUND"


def test_the_metadata_of_a_route():
    got = pb.ModelMetadataResponse.FromString(call("ModelMetadata", pb.ModelMetadataRequest(name="r")))
    assert (got.name, list(got.versions), got.platform) == ("r", ["7"], "pointsman_route")
    (tensor,) = got.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("X", "FP32", [-1, 2])
    assert [tensor.name for tensor in got.outputs] == ["label"]
    assert failure("ModelMetadata", pb.ModelMetadataRequest(name="late"))[0] == "UNAVAILABLE"


def test_field_6_of_the_metadata_on_which_servers_disagree_is_unset():
    content = call("ModelMetadata", pb.ModelMetadataRequest(name="r"))
    assert pb.ModelMetadataResponse.FromString(content).SerializeToString() == content
    assert b"beyond" not in content


def test_the_configuration_of_a_route():
    config = pb.ModelConfigResponse.FromString(call("ModelConfig", pb.ModelConfigRequest(name="r"))).config
    assert (config.name, config.platform, config.max_batch_size) == ("r", "onnx_onnxv1", 64)
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [("X", pb.TYPE_FP32, [2])]
    assert config.output[0].data_type == pb.TYPE_INT64


@pytest.mark.parametrize("name", ["r", ""])
def test_the_statistics_of_a_route_or_of_all(name):
    content = call("ModelStatistics", pb.ModelStatisticsRequest(name=name))
    (stats,) = pb.ModelStatisticsResponse.FromString(content).model_stats
    assert (stats.last_inference, stats.inference_count, stats.inference_stats.success.ns) == (2**63, 3, 9)
    assert (stats.batch_stats[0].batch_size, stats.batch_stats[0].compute_infer.ns) == (2, 5)


@pytest.mark.parametrize(("ready", "names"), [(False, ["r", "q"]), (True, ["r"])])
def test_the_repository_lists_its_models(ready, names):
    content = call("RepositoryIndex", pb.RepositoryIndexRequest(ready=ready))
    models = pb.RepositoryIndexResponse.FromString(content).models
    assert [model.name for model in models] == names
    assert (models[0].version, models[0].state) == ("7", "READY")


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_callers_cannot_load_models(method):
    code, sentence = failure(method, pb.RepositoryModelLoadRequest(model_name="r"))
    assert code == "UNIMPLEMENTED"
    assert "pointsman apply" in sentence


def test_bytes_that_are_no_message_are_the_callers_fault():
    failed = failure("ModelMetadata", content=b"\xff")
    assert failed == ("INVALID_ARGUMENT", "The bytes are not a ModelMetadataRequest.")


READING = ["ModelReady", "ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex"]


@pytest.mark.parametrize("method", READING)
def test_reading_needs_permission(method):
    message = pb.ModelReadyRequest(name="r") if method.startswith("Model") else None
    assert failure(method, message, guard=Reader())[0] == "PERMISSION_DENIED"
    assert call(method, message, guard=Reader(), metadata=(("say", "please"),))


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady"])
def test_health_needs_no_permission(method):
    assert call(method, guard=Reader())


def test_the_metadata_of_a_model_have_the_protocols_properties():
    assert pb.ModelMetadataResponse.DESCRIPTOR.fields_by_name["properties"].number == 6
    assert dict(pb.ModelMetadataResponse(properties={"a": "b"}).properties) == {"a": "b"}
