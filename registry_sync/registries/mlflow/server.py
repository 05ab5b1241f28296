"""Which MLflow the setting POINTSMAN_REGISTRY names, and with which credentials it is asked.

    mlflow+http://HOST:PORT[/PREFIX], mlflow+https://...    an MLflow server
    mlflow+sagemaker://ARN                                  MLflow that SageMaker runs; ARN is the tracking server's
    databricks://[HOST]                                     Unity Catalog of a Databricks workspace

Credentials come from the variables that MLflow's own client reads; see docs/registries.md.
"""

import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.auth import Bearer
from registry_sync.registries.mlflow.oauth import ClientCredentials

_ARN_HEADER = "x-mlflow-sm-tracking-server-arn"
_OF_MLFLOW = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
_OF_DATABRICKS = "Set DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID and DATABRICKS_CLIENT_SECRET."
_OF_SAGEMAKER = (
    "Give the role, or the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, sagemaker-mlflow:* on the ARN."
)


_PARTITIONS = ("aws", "aws-us-gov")
"""Those whose endpoints end with `.aws`, as in the plugin `sagemaker-mlflow`."""


class Server(NamedTuple):
    """A server. `url` ends without a slash; `advice` says where its credentials come from."""

    url: str
    auth: httpx.Auth | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    verify: ssl.SSLContext | bool = True
    advice: str = _OF_MLFLOW
    is_unity_catalog: bool = False

    @property
    def advice_403(self) -> str:
        """What may help where a server answers 403 to wrong credentials, too."""
        return "" if self.advice == _OF_MLFLOW else f" Or its credentials are wrong. {self.advice}"

    @property
    def below(self) -> str:
        """The path of the registry below `/api/2.0/`."""
        return "mlflow/unity-catalog" if self.is_unity_catalog else "mlflow"


def read_server(url: str, environ: Mapping[str, str]) -> Server:
    """Return the server that `url` names.

    Raises:
        RegistryUnavailable: it names none, or a setting that it needs is missing.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "mlflow+sagemaker":
        return _sagemaker(rest, environ)
    if scheme == "databricks":
        return _databricks(rest, environ)
    return Server(_checked(url.removeprefix("mlflow+")), _plain_auth(environ), verify=_verify(environ))


def _plain_auth(environ: Mapping[str, str]) -> httpx.Auth | None:
    """Return what MLflow's client would send: name and password go before a token."""
    name, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD")
    if name and password:
        return httpx.BasicAuth(name, password)
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    return Bearer(token) if token else None


def _sagemaker(arn: str, environ: Mapping[str, str]) -> Server:
    parts = arn.split(":", 5)
    if (
        len(parts) != 6
        or (parts[0], parts[2]) != ("arn", "sagemaker")
        or parts[1] not in _PARTITIONS
        or not parts[3]
        or "/" not in parts[5]
        or "#" in arn
    ):
        raise RegistryUnavailable(
            f"{arn!r} is not the ARN of a tracking server. Write "
            "mlflow+sagemaker://arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME."
        )
    from registry_sync.registries.mlflow.sigv4 import SigV4  # with boto3, which no other kind of server needs

    region = parts[3]
    url = environ.get("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT") or f"https://{region}.experiments.sagemaker.aws"
    return Server(_checked(url), SigV4(region), {_ARN_HEADER: arn}, _verify(environ), _OF_SAGEMAKER)


def _databricks(host: str, environ: Mapping[str, str]) -> Server:
    host = host.rstrip("/") or environ.get("DATABRICKS_HOST", "").rstrip("/")
    if not host:
        raise RegistryUnavailable("databricks:// names no workspace. Write databricks://HOST, or set DATABRICKS_HOST.")
    url, verify = _checked(host if "://" in host else f"https://{host}"), _verify(environ)
    token = environ.get("DATABRICKS_TOKEN")
    client, secret = environ.get("DATABRICKS_CLIENT_ID"), environ.get("DATABRICKS_CLIENT_SECRET")
    auth: httpx.Auth
    if token:
        auth = Bearer(token)
    elif client and secret:
        auth = ClientCredentials(f"{url}/oidc/v1/token", client, secret, verify=verify)
    else:
        raise RegistryUnavailable(f"There are no credentials for {url}. {_OF_DATABRICKS}")
    return Server(url, auth, verify=verify, advice=_OF_DATABRICKS, is_unity_catalog=True)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.query or parts.fragment:
        raise RegistryUnavailable(
            f"POINTSMAN_REGISTRY names no MLflow server: {url!r}. Write mlflow+http://HOST:PORT, or mlflow+https://HOST."
        )
    if "@" in parts.netloc:
        raise RegistryUnavailable(f"POINTSMAN_REGISTRY must hold no password, since it is shown. {_OF_MLFLOW}")
    return url.rstrip("/")


def _verify(environ: Mapping[str, str]) -> ssl.SSLContext | bool:
    """Return how certificates are verified, as MLflow's client does."""
    is_insecure = environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    authority, own = environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"), environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    if not own and (is_insecure or not authority):
        return not is_insecure
    try:
        context = ssl.create_default_context(cafile=authority or None)
        if own:
            context.load_cert_chain(own)
    except OSError as error:
        names = "MLFLOW_TRACKING_SERVER_CERT_PATH or MLFLOW_TRACKING_CLIENT_CERT_PATH"
        raise RegistryUnavailable(f"The PEM file in {names} cannot be read: {error}.") from error
    if is_insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
