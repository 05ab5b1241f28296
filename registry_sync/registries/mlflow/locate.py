"""Finds the files of a version, and the credentials for them."""

import os
import threading
import time
from functools import partial
from typing import Any

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.answers import DownloadUri, OneTemporaryCredentials
from registry_sync.registries.mlflow.artifacts import Artifacts, ProxiedArtifacts, S3Artifacts
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.errors import Missing
from registry_sync.registries.mlflow.sources import find_files
from registry_sync.registries.s3 import s3_client
from runtimes.errors import ModelRefused

_READ = "MODEL_VERSION_OPERATION_READ"
_BEFORE_ITS_END_S = 300.0
_MOST_CLIENTS = 16


class Locator:
    """Opens artifacts. It keeps one client of S3."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._s3: Any = None
        self._lent_clients: dict[tuple[str, str], tuple[Any, float]] = {}
        self._lock = threading.Lock()

    def artifacts(self, model: str, version: str) -> Artifacts:
        """Return the files of a version.

        Raises:
            ModelRefused: they are where the gateway does not read.
            RegistryUnavailable: MLflow cannot be asked.
        """
        is_catalog = self._client.server.is_unity_catalog
        question = {"name": model, "version": version}
        try:
            uri = self._client.get(
                f"{self._client.server.below}/model-versions/get-download-uri", DownloadUri, question
            ).artifact_uri
            place = find_files(uri, self._client)
        except Missing as error:
            name = f"{model}:{version}"
            raise RegistryUnavailable(f"MLflow does not say where the files of {name} are: {error}.") from error
        if isinstance(place, str):
            return ProxiedArtifacts(self._client, place)
        return S3Artifacts(place, partial(self._lent, model, version) if is_catalog else self.s3_client)

    def s3_client(self) -> Any:
        """Return a client of S3. Like MLflow's own, it takes the endpoint from MLFLOW_S3_ENDPOINT_URL."""
        with self._lock:
            if self._s3 is None:
                endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")
                self._s3 = s3_client(**({"endpoint_url": endpoint} if endpoint else {}))
            return self._s3

    def _lent(self, model: str, version: str) -> Any:
        """Return a client with the credentials that Unity Catalog lends for the files of one version."""
        with self._lock:
            client, until_s = self._lent_clients.get((model, version), (None, 0.0))
        if client is not None and time.time() < until_s:
            return client
        body = {"name": model, "version": version, "operation": _READ}
        path = "mlflow/unity-catalog/model-versions/generate-temporary-credentials"
        lent = self._client.post(path, OneTemporaryCredentials, body).credentials
        keys = lent.aws_temp_credentials
        if keys is None:
            raise ModelRefused(
                f"Unity Catalog lends no credentials of AWS for the files of {model}:{version}. The gateway reads them "
                "in S3 only, not in Azure, Google Cloud or the default storage of Databricks."
            )
        client = s3_client(
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token,
        )
        with self._lock:
            if len(self._lent_clients) >= _MOST_CLIENTS:
                self._lent_clients.clear()
            self._lent_clients[model, version] = (client, lent.expiration_time / 1000 - _BEFORE_ITS_END_S)
        return client
