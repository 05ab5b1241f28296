"""One real Ray cluster with two replicas for the whole run."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from tests.serve.gateway_process import GatewayProcess
from tests.serve.redis_process import RedisProcess


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    gateway = GatewayProcess(tmp_path_factory.mktemp("gateway") / "var", POINTSMAN_ALLOW_PICKLE="true")
    gateway.start()
    gateway.wait_for_replicas(2)
    yield gateway
    gateway.client.close()
    assert gateway.end() == 0, gateway.output.read_text()


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """The store of `shared`."""
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    process.start()
    yield process
    process.kill()


@pytest.fixture(scope="session")
def shared(redis_process: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Two more replicas, which share a Redis."""
    gateway = GatewayProcess(
        tmp_path_factory.mktemp("shared") / "var", POINTSMAN_ALLOW_PICKLE="true", POINTSMAN_STORE=redis_process.url
    )
    gateway.start()
    gateway.wait_for_replicas(2)
    yield gateway
    gateway.client.close()
    assert gateway.end() == 0, gateway.output.read_text()


@pytest.fixture(scope="session")
def cancer() -> np.ndarray:
    return load_breast_cancer().data.astype(np.float32)


@pytest.fixture(scope="session")
def body(cancer: np.ndarray) -> bytes:
    """One instance, as JSON."""
    tensor = {"name": "X", "shape": [1, 30], "datatype": "FP32", "data": cancer[0].tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.fixture
def split(gateway: GatewayProcess) -> Iterator[None]:
    """Leaves the route `cancer` at the demo's split, whatever the test does."""
    yield
    assert gateway.cli("shift", "cancer", "stable=90", "canary=10").returncode == 0  # waits for both replicas
