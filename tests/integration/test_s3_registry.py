"""A gateway whose registry is in S3: published, loaded and served, in the replica and in a process."""

from collections.abc import Iterator

import httpx
import pytest
from onnx import helper

from runtimes.manifest import TensorSpec
from tests.support.gateway_process import GatewayProcess, running
from tests.support.models import onnx_content
from tests.support.polling import wait_until
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    made = S3Server(tmp_path_factory.mktemp("s3"), "models")
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def gateway(server, tmp_path_factory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("gateway") / "var"
    settings = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": "s3://models/prod", **server.environment}
    with running(GatewayProcess(home, "serve", **settings)) as made:
        yield made


def publish(gateway: GatewayProcess, version: str, factor: float, *options: str) -> None:
    inputs, outputs = [TensorSpec("x", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
    nodes = [
        helper.make_node("Constant", [], ["k"], value_float=factor),
        helper.make_node("Mul", ["x", "k"], ["y"]),
    ]
    file = gateway.home / "model.onnx"
    file.write_bytes(onnx_content(nodes, inputs, outputs))
    done = gateway.cli("models", "add", f"times:{version}", str(file), *options)
    assert done.returncode == 0, done.stdout + done.stderr


def answer(gateway: GatewayProcess) -> list[float]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    found = httpx.post(f"{gateway.url}/v2/models/times/infer", json={"inputs": [tensor]}, timeout=60.0, trust_env=False)
    assert found.status_code == 200, found.text
    values: list[float] = found.json()["outputs"][0]["data"]
    return values


@pytest.mark.parametrize("placement", ["replica", "process"])
def test_a_version_in_s3_is_served_and_an_alias_is_followed(gateway, server, placement):
    """It goes on being served while S3 hangs."""
    first, second = ("1", "2") if placement == "replica" else ("3", "4")
    publish(gateway, first, 2.0, "--alias", "champion")
    gateway.declare({"route": "times", "arms": {"a": "times@champion"}, "split": {"a": "100%"}, "placement": placement})
    wait_until(lambda: answer(gateway) == [2.0, 4.0], within_s=60.0)  # the alias may still be the one before
    publish(gateway, second, 3.0, "--alias", "champion")
    wait_until(lambda: answer(gateway) == [3.0, 6.0], within_s=60.0, shows=lambda: gateway.client.status()["routes"])
    shown = gateway.cli("models", "list")
    assert (shown.returncode, "times" in shown.stdout) == (0, True)
    checked = gateway.cli("models", "validate", f"times:{second}")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    server.stop()
    try:
        assert answer(gateway) == [3.0, 6.0]
    finally:
        server.go_on()
