"""One gateway for the run, and every foreign client in a process of its own, started when it is first needed."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.open import open_store
from tests.conformance.environments import Unavailable, ensure
from tests.conformance.foreign import KINDS, Foreign, Kind, Raised
from tests.conformance.models import publish
from tests.support.components import ALL_CASES, missing, need_program
from tests.support.gateway_process import GatewayProcess, running
from tests.support.routes import declare

_HERE = Path(__file__).parent
_SCORING = "mlflow"
"""The environment of MLflow's scoring server, which only `make soak` asks."""
_PYTHONS: dict[str | None, Path | Unavailable] = {None: Path(sys.executable)}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the environments before any test begins, so that no test's time limit covers it."""
    if session.config.option.collectonly or not any(item.path.parent == _HERE for item in session.items):
        return
    scoring = {_SCORING} if ALL_CASES in os.environ else set()
    for name in ({kind.environment for kind in KINDS.values()} | scoring) - {None}:
        try:
            _PYTHONS[name] = ensure(name)
        except Unavailable as error:
            _PYTHONS[name] = error


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One replica without Ray, whose routes echo tensors of every datatype and shape."""
    home = tmp_path_factory.mktemp("conformance")
    store = open_store(f"sqlite:///{home / 'pointsman.db'}")
    for route in publish(home / "models"):
        declare(store, route)
    store.close()
    with running(GatewayProcess(home, "serve", "--engine", "uvicorn")) as gateway:
        gateway.wait_until_ready()
        yield gateway
    assert "failed" not in gateway.output.read_text(), gateway.output.read_text()


@pytest.fixture(scope="session")
def foreign(gateway: GatewayProcess) -> Iterator[Callable[[str], Foreign]]:
    """Return the client of a name. Without its environment the test is skipped; in CI it fails."""
    started: dict[str, Foreign] = {}

    def named(name: str) -> Foreign:
        if name not in started:
            python = _PYTHONS[KINDS[name].environment]
            if isinstance(python, Unavailable):
                missing(str(python))
            if name == "curl":
                need_program("curl")
            started[name] = Foreign(KINDS[name], python, gateway.http, gateway.grpc)
        return started[name]

    yield named
    for each in started.values():
        each.dismiss()
    for each in started.values():
        each.end()


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[[str, GatewayProcess], Foreign]]:
    """Return a function that starts a worker of the environment `mlflow` against a gateway."""
    workers: list[Foreign] = []

    def start(name: str, gateway: GatewayProcess) -> Foreign:
        python = _PYTHONS[_SCORING]
        if isinstance(python, Unavailable):
            missing(str(python))
        workers.append(Foreign(Kind(name, _SCORING), python, gateway.http, gateway.grpc))
        return workers[-1]

    yield start
    for each in workers:
        each.dismiss()
    for each in workers:
        each.end()


@pytest.fixture
def client(request: pytest.FixtureRequest, foreign: Callable[[str], Foreign]) -> Foreign:
    """Return the client that the test is parametrised with."""
    return foreign(request.param)


@pytest.fixture
def refused() -> Callable[..., Raised]:
    """Return a function that makes a call and returns what the client raised."""

    def raised_by(call: Callable[[], object]) -> Raised:
        with pytest.raises(Raised) as caught:
            call()
        return caught.value

    return raised_by
