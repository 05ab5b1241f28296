"""Two gateways on real local Ray clusters, each with two replicas, for the whole run."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from tests.support.gateway_process import GatewayProcess, running
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Start two replicas, which share a SQLite file."""
    home = tmp_path_factory.mktemp("gateway") / "var"
    environment = {"POINTSMAN_ALLOW_PICKLE": "true", "AWS_SECRET_ACCESS_KEY": "which no model may see"}
    with running(GatewayProcess(home, **environment)) as gateway:
        gateway.wait_for_replicas(2)
        yield gateway


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Start the store of `shared`. It keeps its data on disk, as a store of documents should."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Start two more replicas, which share a Redis."""
    home = tmp_path_factory.mktemp("shared") / "var"
    with running(GatewayProcess(home, POINTSMAN_ALLOW_PICKLE="true", POINTSMAN_STORE=redis.url)) as gateway:
        gateway.wait_for_replicas(2)
        yield gateway


@pytest.fixture(scope="session")
def cancer() -> np.ndarray:
    return load_breast_cancer().data.astype(np.float32)


@pytest.fixture(scope="session")
def body(cancer: np.ndarray) -> bytes:
    """Return a request of one instance, as JSON."""
    tensor = {"name": "X", "shape": [1, 30], "datatype": "FP32", "data": cancer[0].tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.fixture
def split(gateway: GatewayProcess) -> Iterator[None]:
    """Bring the route `cancer` back to the demo's split after the test."""
    yield
    assert gateway.cli("shift", "cancer", "stable=90", "canary=10").returncode == 0  # waits for both replicas
