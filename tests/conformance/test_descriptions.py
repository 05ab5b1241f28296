"""Health, metadata, configuration, statistics and the repository, as each client requests them."""

import pytest

from tests.conformance.foreign import TRITON, Foreign, Request
from tests.conformance.models import DATATYPES, rows_of
from tests.conformance.samples import rows, tensor
from tests.support.polling import wait_until

EVERY_TRITON = pytest.mark.parametrize("client", TRITON, indirect=True)
KSERVE = pytest.mark.parametrize("client", ["kserve_v2", "kserve_v1", "kserve_grpc"], indirect=True)
MLSERVER = pytest.mark.parametrize("client", ["mlserver_http", "mlserver_grpc"], indirect=True)
EXTENSIONS = {"binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"}


@EVERY_TRITON
def test_health(client, refused):
    assert client.describe("is_server_live")
    assert client.describe("is_server_ready")
    assert client.describe("is_model_ready", "colours")
    assert client.describe("is_model_ready", "colours", "2")
    assert client.describe("is_model_ready", "colours", "champion")
    if client.kind.is_grpc:
        raised = refused(lambda: client.describe("is_model_ready", "nobody"))
        assert (raised.kind, raised.status) == ("InferenceServerException", "StatusCode.NOT_FOUND")
    else:
        assert client.describe("is_model_ready", "nobody") is False


@KSERVE
def test_health_as_kserve_asks(client, refused):
    if client.kind.name != "kserve_v1":
        assert client.describe("is_server_live")
        assert client.describe("is_server_ready")
    assert client.describe("is_model_ready", "colours")
    if client.kind.name == "kserve_v2":
        assert client.describe("is_model_ready", "nobody") is False
    else:
        raised = refused(lambda: client.describe("is_model_ready", "nobody"))
        assert raised.status == ("StatusCode.NOT_FOUND" if client.kind.is_grpc else "404")


@EVERY_TRITON
def test_metadata(client):
    server = client.describe("get_server_metadata")
    assert server["name"] == "pointsman"
    assert set(server["extensions"]) >= EXTENSIONS
    route = client.describe("get_model_metadata", "colours")
    assert (route["name"], route["versions"], route["platform"]) == ("colours", ["1", "2"], "onnx_onnxv1")
    assert described(route["inputs"]) == [("X", "FP32", [-1, 2])]
    assert described(route["outputs"]) == [("scores", "FP32", [-1, 3]), ("label", "INT64", [-1])]
    assert client.describe("get_model_metadata", "colours", "2")["versions"] == ["2"]


@EVERY_TRITON
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_is_described(client, datatype):
    metadata = client.describe("get_model_metadata", rows_of(datatype))
    assert described(metadata["inputs"]) == [("X", datatype, [-1, 3])]
    config = client.describe("get_model_config", rows_of(datatype))
    config = config.get("config", config)
    assert config["input"][0]["data_type"] == ("TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}")
    assert [int(size) for size in config["input"][0]["dims"]] == [3]
    assert config["max_batch_size"] == 64


@EVERY_TRITON
def test_statistics_count_what_was_answered(client):
    given = (tensor("X", rows("UINT16", 5)),)
    before = counted(client, "rows-uint16")
    for _ in range(3):
        client.infer(Request("rows-uint16", given))
    # A replica writes its sums down a few times a second.
    wait_until(lambda: counted(client, "rows-uint16")[1] >= before[1] + 3)
    after = counted(client, "rows-uint16")
    assert (after[0] - before[0], after[1] - before[1]) == (15, 3)
    names = {each["name"] for each in client.describe("get_inference_statistics")["model_stats"]}
    assert {"colours", "several", "rows-uint16"} <= names


@EVERY_TRITON
def test_the_repository_is_shown_but_not_changed(client, refused):
    index = client.describe("get_model_repository_index")
    models = index["models"] if client.kind.is_grpc else index
    assert {("colours", "1", "READY"), ("colours", "2", "READY"), ("several", "1", "READY")} <= {
        (each["name"], each["version"], each["state"]) for each in models
    }
    for call in ("load_model", "unload_model"):
        raised = refused(lambda call=call: client.describe(call, "colours"))
        assert raised.kind == "InferenceServerException"
        assert raised.status == ("StatusCode.UNIMPLEMENTED" if client.kind.is_grpc else "501")
        assert "come from the registry" in raised.sentence


@EVERY_TRITON
@pytest.mark.parametrize(
    "call",
    ["get_trace_settings", "get_log_settings", "get_system_shared_memory_status", "get_cuda_shared_memory_status"],
)
def test_what_there_is_not_is_refused_in_the_clients_own_words(client, refused, call):
    raised = refused(lambda: client.describe(call))
    assert raised.kind == "InferenceServerException"
    assert "while decoding" not in raised.sentence


@MLSERVER
def test_mlservers_types_read_the_descriptions(client):
    assert client.call("server_metadata")["name"] == "pointsman"
    metadata = client.call("model_metadata", route="several")
    assert [each["name"] for each in metadata["inputs"]] == ["A", "B", "C"]
    assert [each["datatype"] for each in metadata["outputs"]] == ["FP32", "INT64", "BYTES", "BOOL", "FP64"]
    assert ("colours", "2", "READY") in {
        (each["name"], each["version"], each["state"]) for each in client.call("index")
    }


def described(tensors: list[dict]) -> list[tuple]:
    """Return names, datatypes and shapes. The JSON of protobuf writes 64-bit integers as strings."""
    return [(each["name"], each["datatype"], [int(size) for size in each["shape"]]) for each in tensors]


def counted(client: Foreign, route: str) -> tuple[int, int]:
    """Return how many instances and requests have been counted."""
    (stats,) = client.describe("get_inference_statistics", route)["model_stats"]
    success = stats.get("inference_stats", {}).get("success", {})
    return int(stats.get("inference_count", 0)), int(success.get("count", 0))
