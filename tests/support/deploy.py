"""Gives a `serveConfigV2` to a Ray cluster, as KubeRay does: `python -m tests.support.deploy ADDRESS FILE`."""

import logging
import sys
from pathlib import Path

import ray
import yaml
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema


def deploy(address: str, file: Path) -> None:
    """Deploy what the file says, which goes on when this has returned."""
    config = ServeDeploySchema.model_validate(yaml.safe_load(file.read_text()))
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    serve.start(proxy_location=config.proxy_location)
    _get_global_client().deploy_apps(config, _blocking=False)


if __name__ == "__main__":
    deploy(sys.argv[1], Path(sys.argv[2]))
