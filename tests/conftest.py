"""What holds for all tests: the profile of hypothesis, what pytest-xdist keeps together, one TLS context for httpx.

Under the profile a slow machine fails no test, and CI repeats its examples.
"""

import functools
import os
from typing import Any

import httpx
import pytest
from httpx._transports import default as transport
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

settings.register_profile(
    "pointsman",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize=os.environ.get("CI") == "true",
    max_examples=40 if os.environ.get("CI") == "true" else 100,  # CI repeats the same ones, elsewhere they are others
)
settings.load_profile("pointsman")

_made = functools.cache(httpx.create_ssl_context)


def _shared_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
    """Return the context of these arguments. `httpx.get` would make one for each request, which takes 20 ms."""
    return _made(verify, cert, trust_env)


transport.create_ssl_context = _shared_context


_SHARED = "tests/conformance/"


class BySharedFixtures(LoadFileScheduling):
    """Keeps the tests of a file in one process, and all of tests/conformance in one.

    They start gateways, servers and foreign clients, and each process that has a test of theirs starts them anew.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _SHARED if file.startswith(_SHARED) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BySharedFixtures | None:
    """Let `--dist loadfile` keep together what shares fixtures."""
    return BySharedFixtures(config, log) if config.getvalue("dist") == "loadfile" else None
