"""How requests to MLflow carry credentials, beside httpx's own `BasicAuth`. OAuth is in `oauth.py`."""

from collections.abc import Generator
from hashlib import sha256
from typing import Any

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from registry_sync.errors import RegistryUnavailable

BODY_SHA256 = "body_sha256"
"""The extension of a request whose body is a stream: the sha256 of the body, which is known beforehand."""

_SERVICE = "sagemaker-mlflow"
_SHA256_HEADER = "x-amz-content-sha256"
_SIGNED = ("content-type", "x-mlflow-sm-tracking-server-arn")
"""Signed beside `host` and `x-amz-*`. A proxy may change other headers."""


class Bearer(httpx.Auth):
    """A token that does not change."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token. Raises like `bearer`."""
        request.headers["Authorization"] = bearer(self._token)
        yield request


def bearer(token: str) -> str:
    """Return the header with a token.

    Raises:
        RegistryUnavailable: it cannot be in a header. The sentence does not tell it, but httpx's would.
    """
    if token.isascii() and token.isprintable():
        return f"Bearer {token}"
    raise RegistryUnavailable(
        "The token for MLflow has a character that no token has. Is there a line end after it in its file or variable?"
    )


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
