"""Which server a URL names, and with which credentials it is asked."""

import httpx
import pytest

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries.mlflow.server import read_server

ARN = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-tracking-server/prod"
TOKEN = {"DATABRICKS_TOKEN": "t"}
PASSWORD = {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "x"}


def authorization(url: str, environ: dict[str, str]) -> str | None:
    auth = read_server(url, environ).auth
    if auth is None:
        return None
    return next(auth.sync_auth_flow(httpx.Request("GET", "http://host/"))).headers["authorization"]


@pytest.mark.parametrize(("url", "environ", "found"), [
    ("mlflow+http://host:5000", {}, "http://host:5000"),
    ("mlflow+https://host/prefix/", {}, "https://host/prefix"),
    (f"mlflow+sagemaker://{ARN}", {}, "https://eu-central-1.experiments.sagemaker.aws"),
    ("databricks://w.cloud.databricks.com", TOKEN, "https://w.cloud.databricks.com"),
    ("databricks://", {**TOKEN, "DATABRICKS_HOST": "https://w.example/"}, "https://w.example"),
    ("databricks://", {**TOKEN, "DATABRICKS_HOST": "w.example"}, "https://w.example"),
])  # fmt: skip
def test_a_url_names_a_server(url, environ, found):
    assert read_server(url, environ).url == found


@pytest.mark.parametrize(("url", "sentence"), [
    ("mlflow+http://", "names no MLflow server"),
    ("mlflow+http://host:x", "names no MLflow server"),
    ("mlflow+https://host/?a=b", "names no MLflow server"),
    ("mlflow+https://host/#a", "names no MLflow server"),
    ("mlflow+http://[", "names no MLflow server"),
    ("mlflow+https://me:secret@host", "must hold no password"),
    ("mlflow+sagemaker://prod", "not the ARN"),
    ("mlflow+sagemaker://arn:aws:s3:::bucket/key", "not the ARN"),
    (f"mlflow+sagemaker://{ARN.replace('aws:', 'aws-cn:', 1)}", "not the ARN"),
    (f"mlflow+sagemaker://{ARN}#arn:aws:iam::1:role/r", "not the ARN"),
    ("databricks://", "set DATABRICKS_HOST"),
    ("databricks://host", "Set DATABRICKS_TOKEN"),
])  # fmt: skip
def test_a_url_that_names_none_is_refused_without_its_password(url, sentence):
    with pytest.raises(RegistryUnavailable, match=sentence) as refused:
        read_server(url, {})
    assert "secret" not in str(refused.value).replace("CLIENT_SECRET", "")


@pytest.mark.parametrize(("environ", "header"), [
    ({}, None),
    ({"MLFLOW_TRACKING_USERNAME": "me"}, None),
    (PASSWORD, "Basic bWU6eA=="),
    ({"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
    ({**PASSWORD, "MLFLOW_TRACKING_TOKEN": "t"}, "Basic bWU6eA=="),
])  # fmt: skip
def test_credentials_are_those_of_mlflows_own_client(environ, header):
    assert authorization("mlflow+http://host", environ) == header


def test_certificates_are_verified_unless_they_are_not_to_be(tmp_path):
    assert read_server("mlflow+https://host", {}).verify is True
    assert read_server("mlflow+https://host", {"MLFLOW_TRACKING_INSECURE_TLS": "true"}).verify is False
    with pytest.raises(RegistryUnavailable, match="MLFLOW_TRACKING_SERVER_CERT_PATH"):
        read_server("mlflow+https://host", {"MLFLOW_TRACKING_SERVER_CERT_PATH": str(tmp_path / "none")})
