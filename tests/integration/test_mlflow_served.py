"""A gateway whose registry is MLflow: published by its commands, loaded and served, in the replica and in a process."""

from collections.abc import Iterator

import httpx
import pytest
from onnx import helper

from runtimes.manifest import TensorSpec
from tests.support.gateway_process import GatewayProcess, running
from tests.support.models import onnx_content
from tests.support.polling import wait_until


@pytest.fixture(scope="module")
def gateway(mlflow_server, tmp_path_factory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("gateway") / "var"
    settings = {
        "POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": mlflow_server.registry, "MLFLOW_EXPERIMENT_NAME": "mlflow",
    }  # fmt: skip
    with running(GatewayProcess(home, "serve", **settings)) as made:
        yield made


def publish(gateway: GatewayProcess, version: str, factor: float) -> None:
    inputs, outputs = [TensorSpec("x", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
    nodes = [
        helper.make_node("Constant", [], ["k"], value_float=factor),
        helper.make_node("Mul", ["x", "k"], ["y"]),
    ]
    file = gateway.home / "model.onnx"
    file.write_bytes(onnx_content(nodes, inputs, outputs))
    done = gateway.cli("models", "add", f"times:{version}", str(file), "--alias", "champion")
    assert done.returncode == 0, done.stdout + done.stderr


def answer(gateway: GatewayProcess) -> list[float]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    found = httpx.post(f"{gateway.url}/v2/models/times/infer", json={"inputs": [tensor]}, timeout=60.0, trust_env=False)
    assert found.status_code == 200, found.text
    values: list[float] = found.json()["outputs"][0]["data"]
    return values


@pytest.mark.parametrize("placement", ["replica", "process"])
def test_a_version_in_mlflow_is_served_and_an_alias_is_followed(gateway, mlflow_server, placement):
    """It goes on being served while MLflow hangs."""
    first, second = ("1", "2") if placement == "replica" else ("3", "4")
    publish(gateway, first, 2.0)
    gateway.declare({"route": "times", "arms": {"a": "times@champion"}, "split": {"a": "100%"}, "placement": placement})
    wait_until(lambda: answer(gateway) == [2.0, 4.0], within_s=60.0)  # the alias may still be the one before
    publish(gateway, second, 3.0)
    wait_until(lambda: answer(gateway) == [3.0, 6.0], within_s=60.0, shows=lambda: gateway.client.status()["routes"])
    mlflow_server.stop()
    try:
        assert answer(gateway) == [3.0, 6.0]
    finally:
        mlflow_server.go_on()
