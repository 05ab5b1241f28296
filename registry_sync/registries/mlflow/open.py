"""Opens the MLflow that POINTSMAN_REGISTRY names, with the credentials of the environment."""

import os

from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.publisher import MlflowPublisher
from registry_sync.registries.mlflow.registry import MlflowRegistry
from registry_sync.registries.mlflow.server import read_server


def open_mlflow(url: str) -> MlflowRegistry:
    """Return the registry at `url`.

    Raises:
        RegistryUnavailable: the URL names none, or a setting is missing.
    """
    return MlflowRegistry(MlflowClient(read_server(url, os.environ)))


def open_mlflow_publisher(url: str) -> MlflowPublisher:
    """Return what writes to the registry at `url`. Raises like `open_mlflow`."""
    return MlflowPublisher(MlflowClient(read_server(url, os.environ)), os.environ)
