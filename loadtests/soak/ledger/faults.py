"""How S3 fails: a real server behind a proxy. Each fault begins and ends."""

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.support.faulty_proxy import FaultyProxy
from tests.support.s3_server import S3Server

_SLOW_S: Final = 1.0


class Storage(NamedTuple):
    """A server and the proxy through which the gateway sees it."""

    server: S3Server
    proxy: FaultyProxy


class Fault(NamedTuple):
    """One way to fail."""

    name: str
    begin: Callable[[Storage], None]
    end: Callable[[Storage], None]


def _answers(name: str, code: str) -> Fault:
    def begin(storage: Storage) -> None:
        storage.proxy.fault = code

    def end(storage: Storage) -> None:
        storage.proxy.fault = ""

    return Fault(name, begin, end)


def _slow(storage: Storage) -> None:
    storage.proxy.delay_s = _SLOW_S


def _prompt(storage: Storage) -> None:
    storage.proxy.delay_s = 0.0


FAULTS: Final = (
    Fault("slow", _slow, _prompt),
    _answers("refusing", "SlowDown"),
    Fault("hanging", lambda storage: storage.server.stop(), lambda storage: storage.server.go_on()),
    _answers("full", "InsufficientStorage"),
    _answers("credentials", "AccessDenied"),
    Fault("killed", lambda storage: storage.server.kill(), lambda storage: storage.server.start()),
)
"""In the order of the run."""
