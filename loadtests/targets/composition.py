"""Ray Serve's own composition: Serve's HTTP proxy, an ingress deployment and a model deployment."""

import sys

from loadtests.bench.launch import Launch
from loadtests.bench.setting import Setting

_RAY_START_LIMIT_S = 180.0
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}

_TUNED = {
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # The setting above would also bypass the proxy that is compared here, and use HAProxy instead.
    "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",
}


def composition(setting: Setting) -> Launch:
    """Return the composition with Serve's defaults."""
    return _composition("serve-composition", setting, {})


def composition_tuned(setting: Setting) -> Launch:
    """Return the composition with Serve's throughput settings and 100 ongoing requests per replica."""
    return _composition("serve-composition-tuned", setting, _TUNED, "--tuned")


def _composition(name: str, setting: Setting, env: dict[str, str], *options: str) -> Launch:
    port = setting.port(name)
    command = [sys.executable, "-m", "loadtests.servers.serve_composition", str(port), *options]
    return Launch(name, port, command, setting.peer_env | _RAY | env, ready_limit_s=_RAY_START_LIMIT_S)
