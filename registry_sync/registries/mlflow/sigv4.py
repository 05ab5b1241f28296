"""AWS Signature Version 4 for requests to MLflow in SageMaker. It alone of MLflow's client needs boto3."""

from collections.abc import Generator
from hashlib import sha256
from typing import Any

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.auth import BODY_SHA256

_SERVICE = "sagemaker-mlflow"
_SHA256_HEADER = "x-amz-content-sha256"
_SIGNED = ("content-type", "x-mlflow-sm-tracking-server-arn")
"""Signed beside `host` and `x-amz-*`. A proxy may change other headers."""


class SigV4(httpx.Auth):
    """AWS Signature Version 4, with the credentials that boto3 finds. Path, query and body are signed."""

    def __init__(self, region: str, session: Any = None) -> None:
        self._region = region
        self._session = session or boto3.session.Session()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request.

        Raises:
            RegistryUnavailable: there are no credentials.
        """
        digest = request.extensions.get(BODY_SHA256) or sha256(request.read()).hexdigest()
        headers = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = AWSRequest(
            method=request.method, url=str(request.url), headers={**headers, _SHA256_HEADER: str(digest)}
        )
        SigV4Auth(self._credentials(), _SERVICE, self._region).add_auth(signed)
        request.headers.update(signed.headers.items())
        yield request

    def _credentials(self) -> Any:
        try:
            found = self._session.get_credentials()
            if found is not None:
                return found.get_frozen_credentials()
        except BotoCoreError as error:
            raise RegistryUnavailable(f"The credentials of AWS cannot be had: {error}.") from error
        raise RegistryUnavailable(
            "There are no credentials of AWS for MLflow in SageMaker. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or give the machine or pod a role."
        )
