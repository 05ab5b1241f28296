"""Dedicated versions of a registry in S3: on a fresh cluster, and deleted behind the gateway's back."""

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from onnx import helper

from runtimes.manifest import TensorSpec
from tests.serve.test_dedicated import assert_no_secrets, model_pids
from tests.support.components import in_soak
from tests.support.gateway_process import GatewayProcess, running
from tests.support.models import onnx_content
from tests.support.paths import ROOT
from tests.support.polling import wait_until
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    made = S3Server(tmp_path_factory.mktemp("s3"), "models")
    made.start()
    yield made
    made.kill()


def ask(gateway: GatewayProcess) -> httpx.Response:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    url = f"{gateway.url}/v2/models/times/infer"
    return httpx.post(url, json={"inputs": [tensor]}, timeout=60.0, trust_env=False)


def is_answered(gateway: GatewayProcess) -> bool:
    found = ask(gateway)
    return found.status_code == 200 and found.json()["outputs"][0]["data"] == [2.0, 4.0]


@in_soak
def test_a_dedicated_version_of_s3_is_rebuilt_on_a_fresh_cluster_and_when_it_is_deleted(server, tmp_path):
    settings = {"POINTSMAN_REPLICAS": "1", "POINTSMAN_REGISTRY": "s3://models/dedicated", **server.environment}
    gateway = GatewayProcess(tmp_path / "var", "serve", **settings)
    with running(gateway):
        inputs, outputs = [TensorSpec("x", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
        nodes = [
            helper.make_node("Constant", [], ["k"], value_float=2.0),
            helper.make_node("Mul", ["x", "k"], ["y"]),
        ]
        file = gateway.home / "model.onnx"
        file.write_bytes(onnx_content(nodes, inputs, outputs))
        done = gateway.cli("models", "add", "times:1", str(file))
        assert done.returncode == 0, done.stdout + done.stderr
        arms = {"route": "times", "arms": {"a": "times:1"}, "split": {"a": "100%"}}
        gateway.declare({**arms, "placement": "dedicated"})
        assert is_answered(gateway)
        (pid,) = model_pids("times-1")
        assert_no_secrets(pid)
    with running(gateway):  # another cluster
        # Ready means that every route is served: the first answer after that is the application's.
        wait_until(gateway.is_ready, within_s=180.0, shows=lambda: gateway.client.status())
        assert is_answered(gateway)
        (before,) = model_pids("times-1")
        deleted = subprocess.run(
            [sys.executable, "-m", "tests.serve.deleted"],
            env=gateway.environment, cwd=ROOT, capture_output=True, text=True, timeout=120.0, check=False,
        )  # fmt: skip
        assert "deleted pointsman-model-times-1" in deleted.stdout, deleted.stderr
        wait_until(lambda: is_answered(gateway), within_s=180.0, shows=lambda: gateway.client.status())
        (after,) = model_pids("times-1")
        assert after != before
