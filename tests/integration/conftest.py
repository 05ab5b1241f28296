"""Gateways of one replica without Ray, as users start them, with the demo's models: an open and a closed one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.gateway_process import GatewayProcess


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Open to everybody. What the tests do to it stays."""
    yield from _served(tmp_path_factory.mktemp("gateway") / "var")


@pytest.fixture(scope="session")
def closed_gateway(gateway: GatewayProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Wants a key of everybody, and knows none."""
    models = str(gateway.home / "models")
    home = tmp_path_factory.mktemp("closed") / "var"
    yield from _served(home, POINTSMAN_ACCESS="required", POINTSMAN_REGISTRY=models)


def _served(home: Path, **environment: str) -> Iterator[GatewayProcess]:
    # The first segment that becomes Parquet costs some 100 MB for good, be it soon or late: here it is not looked at.
    environment = {"POINTSMAN_SEGMENT_MAX_AGE_S": "3600", **environment}
    gateway = GatewayProcess(home, POINTSMAN_ENGINE="uvicorn", POINTSMAN_ALLOW_PICKLE="true", **environment)
    gateway.start()
    yield gateway
    gateway.client.close()
    assert gateway.end() == 0, gateway.output.read_text()
