"""Fixtures that run commands in this process, against no gateway, the session's, or a stand-in."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.cli.main import app


@pytest.fixture
def run(monkeypatch, tmp_path) -> Iterator[Callable[..., Result]]:
    opened = []

    class Closed(httpx.Client):
        """Noted, to be closed after the test: a command leaves its connections to the end of its process."""

        def __init__(self, **arguments) -> None:
            super().__init__(**arguments)
            opened.append(self)

    monkeypatch.setenv("POINTSMAN_HOME", str(tmp_path))
    monkeypatch.setattr("gateway.cli.client.httpx.Client", Closed)
    runner = CliRunner()
    yield lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])
    for client in opened:
        client.close()


@pytest.fixture
def here(gateway, run) -> Callable[..., Result]:
    """Return a function that runs a command against the replica that the session shares."""
    return lambda *arguments: run(*arguments, "--url", f"http://127.0.0.1:{gateway.port}")
