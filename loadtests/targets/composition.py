"""Ray Serve's own way: ingress deployment, model deployment, Serve's HTTP proxy in front. Acts."""

import sys

from loadtests.bench.launch import Launch
from loadtests.bench.setting import Setting

_RAY_START_LIMIT_S = 180.0
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}

_TUNED = {
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # The setting above would also hand connections to HAProxy, past the proxy that is compared here.
    "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0",
}


def composition(setting: Setting) -> Launch:
    """With Serve's defaults."""
    return _composition("serve-composition", setting, {})


def composition_tuned(setting: Setting) -> Launch:
    """With Serve's throughput settings, and as many requests in a replica as there are connections."""
    return _composition("serve-composition-tuned", setting, _TUNED, "--tuned")


def _composition(name: str, setting: Setting, env: dict[str, str], *options: str) -> Launch:
    port = setting.port(name)
    command = [sys.executable, "-m", "loadtests.servers.serve_composition", str(port), *options]
    return Launch(name, port, command, setting.peer_env | _RAY | env, ready_limit_s=_RAY_START_LIMIT_S)
