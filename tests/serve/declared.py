"""Runs an application as KubeRay would have it run: `python -m tests.serve.declared FILE`.

FILE holds the text of a `serveConfigV2`. It is given to Ray Serve on a local cluster, whose environment is that of this
process, and again for each line that comes on standard input. The process ends in order when that is closed.
"""

import logging
import sys
from pathlib import Path

import yaml

from gateway.replica import ray_environment
from gateway.settings import Settings


def run(file: Path) -> None:
    """Deploy what the file says, and say `running` each time that it runs."""
    ray_environment.prepare(Settings().resolved())
    import ray
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    config = ServeDeploySchema.model_validate(yaml.safe_load(file.read_text()))
    ray.init(
        address="local", _node_ip_address="127.0.0.1", include_dashboard=False, num_cpus=4, log_to_driver=False,
        logging_level=logging.ERROR,
    )  # fmt: skip
    serve.start(proxy_location=config.proxy_location)
    while True:
        config = ServeDeploySchema.model_validate(yaml.safe_load(file.read_text()))
        _get_global_client().deploy_apps(config, _blocking=True)
        print("running", flush=True)  # noqa: T201  # for the test that runs this
        if not sys.stdin.readline():
            break
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
