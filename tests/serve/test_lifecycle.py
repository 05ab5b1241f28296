"""A gateway that is stopped or killed leaves nothing behind, and the next start works."""

import signal

import psutil
import pytest

from tests.support.components import in_soak
from tests.support.gateway_process import GatewayProcess

GONE_S = 240.0
"""Ray's two agents look for their parent now and then. They hold nothing that a next start needs."""


def _family(gateway: GatewayProcess) -> list[psutil.Process]:
    assert gateway.process is not None
    parent = psutil.Process(gateway.process.pid)
    return [parent, *parent.children(recursive=True)]


def _require_gone(family: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(family, GONE_S)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.fixture
def own_gateway(tmp_path):
    gateway = GatewayProcess(tmp_path / "var")
    yield gateway
    if gateway.process is not None and gateway.process.poll() is None:
        gateway.end()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=in_soak), signal.SIGTERM])
def test_signals_leave_no_process_and_no_port(own_gateway, number):
    gateway = own_gateway
    gateway.start()
    family = _family(gateway)
    assert len(family) > 4  # Ray's own processes and two replicas
    assert gateway.end(number) == 0
    _require_gone(family)
    assert not gateway.is_ready()


@in_soak
def test_a_gateway_that_was_killed_starts_at_once(own_gateway):
    gateway = own_gateway
    gateway.start()
    family = _family(gateway)
    gateway.end(signal.SIGKILL)
    gateway.start()  # at once, while the killed gateway's replicas may still be ending
    assert gateway.is_ready()
    assert gateway.end() == 0
    _require_gone(family)


def test_a_port_that_is_held_is_refused_with_a_sentence(gateway):
    done = gateway.cli("serve", "--engine", "uvicorn", "--home", str(gateway.home / "other"))
    assert done.returncode == 1
    assert f"Port {gateway.port} on 127.0.0.1 cannot be had" in done.stderr
