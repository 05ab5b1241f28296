"""The gRPC port of a real replica: the same routes, decisions, responses and errors as over HTTP."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from tests.support import replica
from tests.support.ports import free_port

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
SCORES = ROWS @ (np.arange(8, dtype=np.float32).reshape(4, 2) / 8)  # the model linear:1 of conftest


@pytest.fixture(scope="module")
def triton(registry, tmp_path_factory) -> Iterator[InferenceServerClient]:
    port = free_port()
    settings = replica.settings_of(registry, tmp_path_factory.mktemp("home"), grpc_port=port)
    with replica.serving(settings), InferenceServerClient(f"127.0.0.1:{port}") as client:
        yield client


def rows() -> list[InferInput]:
    tensor = InferInput("X", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS)
    return [tensor]


def parameters(answer: Any) -> dict[str, Any]:
    given = answer.get_response().parameters.items()
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in given}


def test_a_response_names_the_arm_and_the_version(triton):
    answer = triton.infer("plain", rows(), request_id="i-1")
    np.testing.assert_allclose(answer.as_numpy("scores"), SCORES)
    assert answer.as_numpy("label").tolist() == SCORES.argmax(axis=1).tolist()
    response = answer.get_response()
    assert (response.model_name, response.model_version, response.id) == ("plain", "1", "i-1")
    decided = parameters(answer)
    assert (decided["arm"], decided["propensity"], len(decided["decision_id"])) == ("a", 1.0, 24)
    best = triton.infer("plain", rows(), outputs=[InferRequestedOutput("scores", class_count=1)]).as_numpy("scores")
    assert [text.split(b":")[1] for text in best[:, 0]] == [str(label).encode() for label in SCORES.argmax(axis=1)]


def test_units_versions_and_arms_are_chosen_as_over_http(triton):
    sticky = {parameters(triton.infer("half", rows(), headers={"x-user-id": "u1"}))["arm"] for _ in range(10)}
    assert len(sticky) == 1
    assert triton.infer("half", rows(), model_version="2").get_response().model_version == "2"
    assert parameters(triton.infer("half", rows(), headers={"x-force-arm": "b"}))["arm"] == "b"
    by_parameter = triton.infer("byparameter", rows(), parameters={"user": "u1"})
    assert parameters(by_parameter)["reason"] == "STICKY"


def test_an_alias_of_a_served_version_names_it_whatever_the_document_says(triton):
    assert triton.infer("plain", rows(), model_version="champion").get_response().model_version == "1"
    assert triton.infer("half", rows(), model_version="challenger").get_response().model_version == "2"
    assert triton.is_model_ready("half", "challenger")
    assert triton.get_model_metadata("half", "challenger").versions == ["2"]
    with pytest.raises(InferenceServerException, match="no version or alias 'challenger'"):
        triton.infer("plain", rows(), model_version="challenger")


def test_errors_have_their_status(triton):
    def status(route: str, **more: Any) -> str:
        with pytest.raises(InferenceServerException) as refused:
            triton.infer(route, rows(), **more)
        return str(refused.value.status())

    assert status("nothing") == "StatusCode.NOT_FOUND"
    assert status("plain", model_version="9") == "StatusCode.NOT_FOUND"
    assert status("plain", outputs=[InferRequestedOutput("z")]) == "StatusCode.INVALID_ARGUMENT"
    assert status("plain", headers={"x-deadline-ms": "-1"}) == "StatusCode.INVALID_ARGUMENT"
    assert status("plain", timeout=1) == "StatusCode.DEADLINE_EXCEEDED"


def test_the_routes_have_metadata(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("plain")
    metadata = triton.get_model_metadata("plain", as_json=True)
    assert metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": ["-1", "4"]}]
    assert triton.get_server_metadata().name == "pointsman"
    config = triton.get_model_config("plain", as_json=True)["config"]
    assert (config["name"], config["input"][0]["data_type"], config["input"][0]["dims"]) == (
        "plain",
        "TYPE_FP32",
        ["4"],
    )
    assert {model.name for model in triton.get_model_repository_index().models} >= {"plain", "half"}
    triton.infer("plain", rows())
    statistics = triton.get_inference_statistics("plain", as_json=True)["model_stats"]
    assert [stats["name"] for stats in statistics] == ["plain"]
    with pytest.raises(InferenceServerException, match="pointsman apply"):
        triton.load_model("plain")


def test_a_stream_gets_responses(triton):
    responses: list[Any] = []
    triton.start_stream(lambda result, error: responses.append((result, error)))
    for number in range(3):
        triton.async_stream_infer("plain" if number != 1 else "nothing", rows(), request_id=str(number))
    triton.stop_stream()
    assert [error is None for _, error in responses] == [True, False, True]
    assert [result.get_response().id for result, _ in responses if result is not None] == ["0", "2"]
