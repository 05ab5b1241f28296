"""Unity Catalog: its own paths, aliases by model, and credentials that it lends. No workspace was at hand: a stub."""

import time
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import parse_qs

import orjson
import pytest

from registry_sync.errors import RegistryUnavailable, UnknownModel
from registry_sync.registries.mlflow import artifacts, locate
from registry_sync.registries.mlflow.auth import Bearer
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.publisher import MlflowPublisher
from registry_sync.registries.mlflow.registry import MlflowRegistry
from registry_sync.registries.mlflow.server import Server
from runtimes.errors import ModelRefused
from tests.support.stub_server import Answer, Seen, StubServer

MODEL = "main.ml.fraud"
KEYS = {"access_key_id": "a", "secret_access_key": "s", "session_token": "t"}
MISSING = Answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}, 404)


class Catalog:
    """One model with one version. Whatever is asked elsewhere than below `unity-catalog` is not there."""

    def __init__(self) -> None:
        self.lent: dict[str, Any] = {"aws_temp_credentials": KEYS, "expiration_time": int(time.time() + 3600) * 1000}

    def __call__(self, seen: Seen) -> Answer:
        path, _, query = seen.path.removeprefix("/api/2.0/mlflow/unity-catalog/").partition("?")
        asked = {key: values[0] for key, values in parse_qs(query).items()}
        if path == "registered-models/search":
            return Answer({"registered_models": [{"name": MODEL}]})
        if asked.get("name", MODEL) != MODEL or asked.get("version", "1") != "1":
            return MISSING
        if path == "model-versions/generate-temporary-credentials":
            body = orjson.loads(seen.body)
            assert body == {"name": MODEL, "version": "1", "operation": "MODEL_VERSION_OPERATION_READ"}
            return Answer({"credentials": self.lent})
        answers: dict[str, Any] = {
            "registered-models/get": {
                "registered_model": {"name": MODEL, "aliases": [{"alias": "champion", "version": 1}]}
            },
            "model-versions/search": {"model_versions": [{"name": MODEL, "version": "1", "status": "READY"}]},
            "model-versions/get": {"model_version": {"name": MODEL, "version": "1", "user_id": "me@example.com"}},
            "model-versions/get-download-uri": {"artifact_uri": "s3://bucket/__unitystorage/models/1"},
        }
        return Answer(answers[path]) if path in answers else MISSING


class Bucket:
    """An S3 with one file, made with the credentials of a test."""

    made: ClassVar[list[dict[str, str]]] = []

    def __init__(self, place: object, client: dict[str, str]) -> None:
        assert place == ("bucket", "__unitystorage/models/1/")
        Bucket.made.append(client)

    def sizes(self, _: str, **__: object) -> dict[str, int]:
        return {"MLmodel": 3}

    def pieces(self, _: str) -> Iterator[bytes]:
        yield b"abc"


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def stub(catalog, monkeypatch) -> Iterator[StubServer]:
    monkeypatch.setattr(locate, "s3_client", lambda **given: given)
    monkeypatch.setattr(artifacts, "S3Registry", Bucket)
    monkeypatch.setattr(Bucket, "made", [])
    with StubServer(catalog) as server:
        yield server


@pytest.fixture
def client(stub) -> MlflowClient:
    return MlflowClient(Server(stub.url, Bearer("t"), is_unity_catalog=True))


@pytest.fixture
def registry(client) -> MlflowRegistry:
    return MlflowRegistry(client)


def test_models_versions_and_aliases_are_read(registry):
    assert list(registry.models()) == [MODEL]
    assert list(registry.versions(MODEL)) == ["1"]
    assert registry.all_aliases([MODEL, "main.ml.none"]) == {MODEL: {"champion": "1"}}
    assert registry.details(MODEL, "1").registered_by == "me@example.com"
    for ask in (lambda: registry.aliases("main.ml.none"), lambda: registry.manifest(MODEL, "2")):
        with pytest.raises(UnknownModel):
            ask()


def lent(stub: StubServer) -> int:
    return sum("generate-temporary-credentials" in seen.path for seen in stub.seen)


def test_files_are_read_with_credentials_that_are_lent_until_they_end(registry, stub, catalog):
    assert registry.files(MODEL, "1") == {"MLmodel": 3}
    assert b"".join(registry.read(MODEL, "1", "MLmodel")) == b"abc"
    assert lent(stub) == 1
    names = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "aws_session_token": "t"}
    assert Bucket.made == [names] * 2
    catalog.lent["expiration_time"] = str(int(time.time() + 60) * 1000)
    fresh = MlflowRegistry(registry._client)
    for _ in range(2):
        assert fresh.files(MODEL, "1") == {"MLmodel": 3}
    assert lent(stub) == 3


def test_files_in_another_cloud_are_refused(registry, catalog):
    catalog.lent = {"azure_user_delegation_sas": {"sas_token": "x"}}
    with pytest.raises(ModelRefused, match="in S3 only"):
        registry.files(MODEL, "1")


def test_nothing_is_published(client):
    with pytest.raises(RegistryUnavailable, match="not written into Unity Catalog"):
        MlflowPublisher(client, {})
