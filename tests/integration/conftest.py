"""Open and closed gateways of one replica without Ray, and real servers: Redis with stores on them, S3, MLflow."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from store.interface import Store
from store.open import open_store
from tests.support.components import in_soak
from tests.support.gateway_process import GatewayProcess, running
from tests.support.mlflow_server import MlflowServer, mlflow_python
from tests.support.redis_server import RedisServer, need_redis
from tests.support.s3_server import S3Server

HERE = Path(__file__).parent

EVERY_TIME = frozenset(
    {
        "test_both_ports.py",
        "test_doctor.py",
        "test_log_erase_s3.py",
        "test_log_files.py",
        "test_log_in_s3.py",
        "test_log_maintenance_s3.py",
        "test_log_places.py",
        "test_log_sinks.py",
        "test_redis_log_verify.py",
        "test_redis_rewards.py",
        "test_redis_store.py",
        "test_reward_import.py",
        "test_s3_registry.py",
        "test_schemathesis.py",
        "test_strict.py",
        "test_values.py",
    }
)
"""The files that every change is tested with. All others take half an hour more: `make soak` has them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the other files of this folder to `make soak`."""
    for item in items:
        if item.path.parent == HERE and item.path.name not in EVERY_TIME:
            item.add_marker(in_soak)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Serve every client. What the tests do to it stays."""
    with _served(tmp_path_factory.mktemp("gateway") / "var") as gateway:
        gateway.wait_until_ready()
        yield gateway


@pytest.fixture(scope="session")
def closed_gateway(gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Require a key of every client, of which there is none."""
    models = str(gateway.home / "models")
    home = tmp_path_factory.mktemp("closed") / "var"
    with _served(home, POINTSMAN_ACCESS="required", POINTSMAN_REGISTRY=models) as closed:
        closed.wait_until_ready()
        yield closed


def _served(home: Path, **settings: str) -> AbstractContextManager[GatewayProcess]:
    return running(GatewayProcess(home, POINTSMAN_ENGINE="uvicorn", POINTSMAN_ALLOW_PICKLE="true", **settings))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Serve the buckets `models` and `logs`."""
    made = S3Server(tmp_path_factory.mktemp("s3"), "models", "logs")
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def mlflow_server(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Serve MLflow with two experiments: `mlflow` has its files behind the proxy, `mlflow_s3` in S3."""
    folder, s3 = tmp_path_factory.mktemp("mlflow"), s3_server
    made = MlflowServer(folder, mlflow_python(), **s3.environment, MLFLOW_S3_ENDPOINT_URL=s3.url)
    made.start()
    made.ask("POST", "experiments/create", name="mlflow")
    made.ask("POST", "experiments/create", name="mlflow_s3", artifact_location="s3://models/experiments/2")
    yield made
    made.kill()


@pytest.fixture
def servers(tmp_path) -> Iterator[Callable[..., RedisServer]]:
    """Return a function that makes servers. They end after the test."""
    made: list[RedisServer] = []

    def make(*options: str, **more: object) -> RedisServer:
        made.append(RedisServer(tmp_path / f"redis{len(made)}", *options, **more))
        return made[-1]

    need_redis()
    yield make
    for server in made:
        server.kill()


@pytest.fixture
def opened() -> Iterator[Callable[[str], Store]]:
    """Return a function that opens stores. They are closed after the test."""
    stores: list[Store] = []

    def make(url: str) -> Store:
        stores.append(open_store(url))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def server(servers) -> RedisServer:
    made = servers()
    made.start()
    return made
