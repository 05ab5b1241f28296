"""What a client sees: the right answers, through a client that is not ours."""

import http.client
import json

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton
from sklearn.datasets import load_digits

from tests.support.components import in_soak
from tests.support.gateway_process import GatewayProcess


def _directly(gateway: GatewayProcess, model: str, features: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession((gateway.home / "models" / model / "2" / "model.onnx").read_bytes())
    return session.run(["label"], {"X": features})[0]


def _input(features: np.ndarray) -> triton.InferInput:
    tensor = triton.InferInput("X", list(features.shape), "FP32")
    tensor.set_data_from_numpy(features, binary_data=False)
    return tensor


@pytest.mark.parametrize("route", ["cancer", "digits"])
def test_tritonclient_gets_the_labels_that_the_model_gives_directly(gateway, cancer, route):
    features = cancer if route == "cancer" else load_digits().data.astype(np.float32)
    client = triton.InferenceServerClient(f"127.0.0.1:{gateway.port}")
    assert client.is_server_ready()
    assert client.is_model_ready(route)
    assert client.get_model_metadata(route)["inputs"][0]["name"] == "X"
    # Pinned to version 2, which both routes serve; outputs as the client asks for them by default (binary if possible).
    result = client.infer(route, [_input(features)], model_version="2")
    assert np.array_equal(result.as_numpy("label"), _directly(gateway, route, features))
    only = client.infer(
        route, [_input(features[:3])], outputs=[triton.InferRequestedOutput("label", binary_data=False)], request_id="7"
    )
    assert [output["name"] for output in only.get_response()["outputs"]] == ["label"]
    assert only.get_response()["id"] == "7"
    client.close()


def test_tritonclient_raises_the_sentence_of_a_refusal(gateway, cancer):
    client = triton.InferenceServerClient(f"127.0.0.1:{gateway.port}")
    with pytest.raises(triton.InferenceServerException, match=r"has shape \[1, 29\]; the model takes \[-1, 30\]"):
        client.infer("cancer", [_input(cancer[:1, :29])])
    client.close()


def _arms_of(gateway: GatewayProcess, body: bytes, units: range) -> dict[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    arms = {}
    for unit in units:
        connection.request("POST", "/v2/models/cancer/infer", body, {"x-user-id": f"user-{unit}"})
        response = connection.getresponse()
        assert response.headers["x-reason"] == "STICKY"
        arms[unit] = response.headers["x-arm"]
        assert response.status == 200, json.loads(response.read())
        response.read()
    connection.close()
    return arms


@in_soak
@pytest.mark.usefixtures("split")
def test_ten_thousand_units_split_as_declared_and_no_unit_leaves_a_growing_arm(gateway, body):
    units = range(10_000)
    before = _arms_of(gateway, body, units)
    canary = {unit for unit, arm in before.items() if arm == "canary"}
    assert 900 <= len(canary) <= 1100  # 10 % ± 1 %
    sample = range(0, 10_000, 10)
    assert _arms_of(gateway, body, sample) == {unit: before[unit] for unit in sample}
    done = gateway.cli("shift", "cancer", "canary=20")
    assert "live on 2 of 2 replicas" in done.stdout, done
    after = _arms_of(gateway, body, units)
    assert canary <= {unit for unit, arm in after.items() if arm == "canary"}
    assert 1900 <= sum(arm == "canary" for arm in after.values()) <= 2100
