"""A registry that answers a byte at a time is given up, in the head of an answer as in its body."""

import time

import boto3
import pytest

from registry_sync.errors import RegistryUnavailable
from registry_sync.registries import pace
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.registry import MlflowRegistry
from registry_sync.registries.mlflow.server import Server
from registry_sync.registries.s3 import Place, S3Registry, s3_client
from tests.support.polling import wait_until
from tests.support.slow_server import SlowServer

ENDLESS = b" " * 1_000_000
"""Hours, at its speed."""
WITHIN_S = 60.0
HEAD = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 1000000\r\nContent-Type: application/xml\r\n\r\n'
CASES = {"head": (b"HTTP/1.1 200 OK\r\nX-More:", ENDLESS), "body": (HEAD, ENDLESS)}


@pytest.fixture(params=CASES)
def slow(request, monkeypatch):
    monkeypatch.setattr(pace, "PATIENCE_S", 0.5)
    monkeypatch.setattr(pace, "ANSWER_WITHIN_S", 0.5)
    with SlowServer(*CASES[request.param]) as server:
        yield server


@pytest.fixture
def s3(slow, monkeypatch) -> S3Registry:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return S3Registry(Place("b", ""), s3_client(endpoint_url=slow.url))


@pytest.mark.parametrize(
    "ask",
    [
        lambda s3: s3.all_aliases(["m"]),
        lambda s3: s3.manifest("m", "1"),
        lambda s3: s3.models(),
        lambda s3: s3.files("m", "1"),
        lambda s3: list(s3.read("m", "1", "weights")),
    ],
    ids=["aliases", "manifest", "models", "files", "file"],
)
def test_s3(s3, slow, ask):
    began_s = time.monotonic()
    with pytest.raises(RegistryUnavailable) as raised:
        ask(s3)
    assert time.monotonic() - began_s < WITHIN_S
    assert str(raised.value).count(". ") == 0
    assert not str(raised.value).endswith("..")
    wait_until(lambda: slow.ended >= 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda mlflow: mlflow.all_aliases(["m"]),
        lambda mlflow: mlflow.manifest("m", "1"),
        lambda mlflow: mlflow.models(),
        lambda mlflow: list(mlflow._client.read("mlflow-artifacts/artifacts/1/weights", 10**9)),
    ],
    ids=["aliases", "manifest", "models", "file"],
)
def test_mlflow(slow, ask):
    began_s = time.monotonic()
    with pytest.raises(RegistryUnavailable, match=r"too slowly|within"):
        ask(MlflowRegistry(MlflowClient(Server(slow.url))))
    assert time.monotonic() - began_s < WITHIN_S
    wait_until(lambda: slow.ended >= 1)
