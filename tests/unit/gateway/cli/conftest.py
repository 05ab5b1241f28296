"""Fixtures that run commands in this process: without a gateway, or against the one of the session."""

from collections.abc import Callable

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.unit.gateway.cli.support import ROLLOUT


@pytest.fixture
def run(monkeypatch, tmp_path) -> Callable[..., Result]:
    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def here(gateway, run) -> Callable[..., Result]:
    """Return a function that runs a command against the replica of the session."""
    return lambda *arguments: run(*arguments, "--url", f"http://127.0.0.1:{gateway.port}")


@pytest.fixture
def rolled(gateway, request):
    """Declare a route with a rollout, named after the test."""
    name = request.node.name.partition("[")[0][-60:]
    response = gateway.http.put(f"/api/routes/{name}", json=ROLLOUT, headers={"if-none-match": "*"})
    assert response.status_code == 200, response.text
    return name
