"""Metadata of the server and of routes, over HTTP."""

import pytest

from tests.support.polling import wait_until

INPUTS = [{"name": "X", "datatype": "FP32", "shape": [-1, 4]}]
OUTPUTS = [
    {"name": "label", "datatype": "INT64", "shape": [-1]},
    {"name": "scores", "datatype": "FP32", "shape": [-1, 2]},
]


def described(route: str, versions: list[str]) -> dict:
    return {
        "name": route, "versions": versions, "platform": "onnx_onnxv1", "inputs": INPUTS, "outputs": OUTPUTS,
    }  # fmt: skip


EXTENSIONS = [
    "binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters", "schedule_policy",
    "statistics",
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2", {"name": "pointsman", "version": "0.1.0", "extensions": EXTENSIONS}),
        ("/v2/health/live", {"live": True}),
        ("/v2/models/half", described("half", ["1", "2"])),
        ("/v2/models/plain", described("plain", ["1"])),
        ("/v2/models/half/versions/challenger", described("half", ["2"])),
        ("/v2/models/half/versions/1", described("half", ["1"])),
        ("/v2/models/half/ready", {"name": "half", "ready": True}),
        ("/v2/models/half/versions/2/ready", {"name": "half", "ready": True}),
    ],
)
def test_it_is_answered(gateway, path, body):
    answer = gateway.http.get(path)
    assert (answer.status_code, answer.json()) == (200, body)


def test_ready_means_every_declared_route_is_served(gateway):
    wait_until(lambda: gateway.http.get("/v2/health/ready").status_code == 200)
    assert gateway.http.get("/v2/health/ready").json() == {"ready": True}


def test_a_replica_that_does_not_follow_changes_is_live_and_not_ready(gateway, monkeypatch):
    monkeypatch.setattr("gateway.control.reconciler._STALLED_AFTER_S", -1.0)
    response = gateway.http.get("/v2/health/ready")
    assert (response.status_code, response.json()["ready"]) == (503, False)
    assert response.json()["error"].startswith("Changes have not been followed for ")
    assert gateway.http.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nowhere",
        "/v2/models/nowhere/ready",
        "/v2/models/half/versions/9",
        "/v2/models/half/versions/9/ready",
        "/v2/nothing",
        "/nothing",
        "/v2/models/half/other",
    ],
)
def test_what_is_not_there_is_404_with_a_sentence(gateway, path):
    answer = gateway.http.get(path)
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/models/half", "/api/status", "/metrics"])
def test_a_wrong_method_is_405_with_a_sentence(gateway, path):
    answer = gateway.http.post(path)
    assert answer.status_code == 405
    assert answer.json()["error"].startswith(f"{path} does not take POST")


def test_a_wrong_method_is_told_the_right_one(gateway):
    assert gateway.http.post("/v2").headers["allow"] == "GET"


def test_every_error_names_its_class(gateway):
    assert gateway.http.get("/v2/models/nowhere").headers["x-error"] == "UnknownRoute"


def test_a_route_may_be_called_infer(gateway):
    assert gateway.http.get("/v2/models/infer").status_code == 404  # no route has this name; otherwise it would be 200
