"""Two gateways with the demo's models, each of one replica without Ray: an open one and a closed one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess, running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Serve every client. What the tests do to it stays."""
    with _served(tmp_path_factory.mktemp("gateway") / "var") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def closed_gateway(gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Require a key of every client, of which there is none."""
    models = str(gateway.home / "models")
    home = tmp_path_factory.mktemp("closed") / "var"
    with _served(home, POINTSMAN_ACCESS="required", POINTSMAN_REGISTRY=models) as closed:
        yield closed


def _served(home: Path, **settings: str) -> AbstractContextManager[GatewayProcess]:
    # The first segment that becomes Parquet costs about 100 MB for good. The tests of memory must not see that.
    settings = {"POINTSMAN_SEGMENT_MAX_AGE_S": "3600", **settings}
    return running(GatewayProcess(home, POINTSMAN_ENGINE="uvicorn", POINTSMAN_ALLOW_PICKLE="true", **settings))
