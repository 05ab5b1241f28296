"""Deletes the applications of dedicated versions behind the gateway's back: `python -m tests.serve.deleted`.

It runs in a process of its own, as `tests.serve.redeploy` does. The gateway's home comes from the environment.
"""

import logging

from gateway.replica import ray_environment
from gateway.settings import Settings


def delete_applications() -> None:
    """Join the cluster that another process started, and delete what begins with the name of a dedicated version's."""
    settings = Settings().resolved()
    ray_environment.prepare(settings)
    import ray
    from ray import serve

    from gateway.execution.ray_applications import PREFIX
    from gateway.replica import ray_engine

    address = (settings.home / ray_engine.ADDRESS_FILE).read_text()
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    for name in serve.status().applications:
        if name.startswith(PREFIX):
            serve.delete(name, _blocking=False)  # a replica makes it anew, so the wait for its end might not end
            print(f"deleted {name}")  # noqa: T201  # for the test that runs this


if __name__ == "__main__":
    delete_applications()
