"""Redeploys a running gateway, as a rolling upgrade would: `python -m tests.serve.redeploy REPLICAS GENERATION`.

It runs in a process of its own, because Ray's import warns and starts threads that pytest should not see. The
gateway's home and port come from the environment.
"""

import logging
import sys

from gateway.replica import ray_environment
from gateway.settings import Settings


def redeploy(replicas: int, generation: int) -> None:
    """Join the cluster that another process started with the same settings, and replace its replicas."""
    settings = Settings(replicas=replicas).resolved()
    ray_environment.prepare(settings)
    import ray

    from gateway.replica import ray_engine

    address = (settings.home / ray_engine.ADDRESS_FILE).read_text()
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    ray_engine.deploy(settings, generation)


if __name__ == "__main__":
    redeploy(*map(int, sys.argv[1:]))
