"""Redeploys a running gateway, as a rolling upgrade would: `python -m tests.serve.redeploy REPLICAS GENERATION`.

A process of its own, because Ray's import warns and starts threads that pytest should not see. The gateway's home
and port come from the environment.
"""

import sys

from gateway.replica import ray_environment
from gateway.settings import Settings

if __name__ == "__main__":
    replicas, generation = map(int, sys.argv[1:])
    settings = Settings(replicas=replicas).resolved()
    ray_environment.prepare(settings)
    from gateway.replica import ray_engine

    ray_engine.connect_cluster(settings)
    ray_engine.deploy(settings, generation)
