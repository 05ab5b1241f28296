"""One gateway for the run, and every foreign client in a process of its own, started when it is first asked."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.environments import Unavailable, ensure
from tests.conformance.foreign import KINDS, Foreign, Raised
from tests.conformance.gateway_process import GatewayProcess
from tests.conformance.models import publish

_HERE = Path(__file__).parent
_PYTHONS: dict[str | None, Path | Unavailable] = {None: Path(sys.executable)}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds the environments before any test begins, so that no test's time limit covers it."""
    if session.config.option.collectonly or not any(_HERE in item.path.parents for item in session.items):
        return
    for name in {kind.environment for kind in KINDS.values()} - {None}:
        try:
            _PYTHONS[name] = ensure(name)
        except Unavailable as error:
            _PYTHONS[name] = error


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("conformance")
    gateway = GatewayProcess(home)
    gateway.declare(publish(home / "models"))
    gateway.start()
    yield gateway
    assert gateway.end() == 0, gateway.output()
    assert "failed" not in gateway.output(), gateway.output()


@pytest.fixture(scope="session")
def foreign(gateway: GatewayProcess) -> Iterator[Callable[[str], Foreign]]:
    """The client of a name. Without its environment: a skip that says why, and in CI a failure."""
    running: dict[str, Foreign] = {}

    def named(name: str) -> Foreign:
        if name not in running:
            python = _PYTHONS[KINDS[name].environment]
            if isinstance(python, Unavailable):
                give_up(str(python))
            if name == "curl" and shutil.which("curl") is None:
                give_up("curl is not installed")
            running[name] = Foreign(KINDS[name], python, gateway.http, gateway.grpc)
        return running[name]

    yield named
    for each in running.values():
        each.dismiss()
    for each in running.values():
        each.end()


@pytest.fixture
def client(request: pytest.FixtureRequest, foreign: Callable[[str], Foreign]) -> Foreign:
    """The client that the test is parametrised with."""
    return foreign(request.param)


def give_up(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(f"NOT TESTED: {why}")


@pytest.fixture
def refused() -> Callable[..., Raised]:
    """Calls, and returns what the client raised."""

    def raised_by(call: Callable[[], object]) -> Raised:
        with pytest.raises(Raised) as caught:
            call()
        return caught.value

    return raised_by
