"""What holds for all tests: the profile of hypothesis, and one TLS context for all of httpx's clients.

Under the profile a slow machine fails no test, and CI repeats its examples.
"""

import functools
import os
from typing import Any

import httpx
from httpx._transports import default as transport
from hypothesis import HealthCheck, settings

settings.register_profile(
    "pointsman",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("pointsman")

_made = functools.cache(httpx.create_ssl_context)


def _shared_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
    """Return the context of these arguments. `httpx.get` would make one for each request, which takes 20 ms."""
    return _made(verify, cert, trust_env)


transport.create_ssl_context = _shared_context
