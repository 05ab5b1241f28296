"""A gateway whose registry is MLflow: published by its commands, loaded and served, in the replica and in a process."""

from collections.abc import Iterator

import pytest

from tests.integration.support_registries import answer_of_times, follow_times
from tests.support.gateway_process import GatewayProcess, running


@pytest.fixture(scope="module")
def gateway(mlflow_server, tmp_path_factory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("gateway") / "var"
    settings = {
        "POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": mlflow_server.registry, "MLFLOW_EXPERIMENT_NAME": "mlflow",
        "POINTSMAN_REGISTRY_EVERY_S": "0.5",
    }  # fmt: skip
    with running(GatewayProcess(home, "serve", **settings)) as made:
        yield made


@pytest.mark.parametrize("placement", ["replica", "process"])
def test_a_version_in_mlflow_is_served_and_an_alias_is_followed(gateway, mlflow_server, placement):
    """It goes on being served while MLflow hangs."""
    name = follow_times(gateway, placement)
    mlflow_server.stop()
    try:
        assert answer_of_times(gateway, name) == [3.0, 6.0]
    finally:
        mlflow_server.go_on()
