"""The environment variables that Ray reads, many of them while it is being imported.

Call `prepare` before anything imports Ray. A variable that the operator has set stays as it is.
"""

import os
import secrets

from gateway.settings import Settings

_TOKEN_FILE = "ray-token"  # noqa: S105  # a file's name
_VARIABLES = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray runs workers at niceness 15 by default: every other process would then come before predictions.
    "RAY_worker_niceness": "0",
    # A replica's threads would otherwise multiply with the machine's cores.
    "OMP_NUM_THREADS": "1",
}


def prepare(settings: Settings) -> None:
    """Set the variables, and create the token that every process needs to connect to this home's cluster."""
    token = settings.home / _TOKEN_FILE
    if not token.exists():
        token.parent.mkdir(parents=True, exist_ok=True)
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
    for name, value in {**_VARIABLES, "RAY_AUTH_TOKEN_PATH": str(token)}.items():
        os.environ.setdefault(name, value)
