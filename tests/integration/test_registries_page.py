"""The commands of docs/registries.md, run as they stand, but on this run's ports."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.gateway_process import GatewayProcess, running
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/registries.md").read_text()
SECTION = re.search(r"^### From `mlflow server` to the first prediction\n(.*?)^### ", PAGE, re.MULTILINE | re.DOTALL)
MLFLOW, GATEWAY = "http://127.0.0.1:5000", "http://127.0.0.1:8000"


def block(language: str) -> str:
    assert SECTION is not None
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", SECTION[1], re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def gateway(mlflow_server, tmp_path) -> Iterator[GatewayProcess]:
    settings = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY": mlflow_server.registry}
    with running(GatewayProcess(tmp_path / "var", "serve", **settings)) as made:
        yield made


@pytest.mark.timeout(600)
def test_a_model_that_mlflows_client_has_logged_is_served_by_the_commands_of_the_page(gateway, mlflow_server, tmp_path):
    mlflow_server.run(block("python").replace(MLFLOW, mlflow_server.url))
    done = subprocess.run(
        [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            block("sh").replace(MLFLOW, mlflow_server.url).replace(GATEWAY, gateway.url),
        ],
        cwd=tmp_path,
        env=gateway.environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "churn:1 can be served." in done.stdout
    assert '"name":"label","shape":[1],"datatype":"BYTES","data":["yes"]' in done.stdout
    assert "churn:1 is a model of the kind sklearn" in done.stdout
    assert "state: READY, serves" in done.stdout
