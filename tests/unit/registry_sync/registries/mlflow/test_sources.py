"""Where files are read, and where they are not; what a listing may name."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from registry_sync.errors import NoManifest, RegistryUnavailable, UnknownModel
from registry_sync.registries.mlflow import artifacts as artifacts_module
from registry_sync.registries.mlflow.client import MlflowClient
from registry_sync.registries.mlflow.registry import MlflowRegistry
from registry_sync.registries.mlflow.server import Server
from registry_sync.registries.mlflow.sources import find_files
from registry_sync.registries.s3 import Place
from runtimes.errors import ModelRefused
from tests.support.stub_server import Answer, Seen, StubServer

ARTIFACTS = "mlflow-artifacts:/1/models/m-1/artifacts"


class Mlflow:
    """One version of one model, whose files are as a test says."""

    def __init__(self) -> None:
        self.version: dict[str, Any] = {"name": "fraud", "version": "1", "status": "READY", "source": "models:/m-1"}
        self.uri = ARTIFACTS
        self.run: dict[str, Any] = {"info": {"artifact_uri": "mlflow-artifacts:/1/r1/artifacts", "status": "FINISHED"}}
        self.listed: dict[str, list[dict[str, Any]]] = {"1/models/m-1/artifacts": [{"path": "a", "file_size": 1}]}
        self.content = b"a"

    def __call__(self, seen: Seen) -> Answer:
        path, _, query = seen.path.removeprefix("/api/2.0/").partition("?")
        answers = {
            "mlflow/model-versions/get": {"model_version": self.version},
            "mlflow/model-versions/get-download-uri": {"artifact_uri": self.uri},
            "mlflow/runs/get": {"run": self.run},
            "mlflow/logged-models/m-1": {"model": {"info": {"model_id": "m-1", "artifact_uri": ARTIFACTS}}},
        }
        if path in answers:
            return Answer(answers[path])
        if path == "mlflow-artifacts/artifacts":
            return Answer({"files": self.listed.get(unquote(query.removeprefix("path=")), [])})
        if path.startswith("mlflow-artifacts/artifacts/"):
            return Answer(self.content)
        return Answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": path}, 404)


@pytest.fixture
def mlflow() -> Iterator[Mlflow]:
    made = Mlflow()
    with StubServer(made) as server:
        made.server = server
        yield made


@pytest.fixture
def client(mlflow) -> MlflowClient:
    return MlflowClient(Server(mlflow.server.url))


@pytest.fixture
def registry(client) -> MlflowRegistry:
    return MlflowRegistry(client)


@pytest.mark.parametrize(("uri", "found"), [
    (ARTIFACTS, "1/models/m-1/artifacts"),
    ("mlflow-artifacts://HOST/1/a", "1/a"),
    ("http://HOST/api/2.0/mlflow-artifacts/artifacts/1/a%20b", "1/a b"),
    ("s3://bucket/experiments/1/artifacts/", Place("bucket", "experiments/1/artifacts/")),
    ("S3://bucket/a", Place("bucket", "a/")),
    ("models:/m-1", "1/models/m-1/artifacts"),
    ("runs:/r1/model", "1/r1/artifacts/model"),
    ("runs:/r1", "1/r1/artifacts"),
])  # fmt: skip
def test_files_are_read_behind_the_proxy_and_in_s3(client, mlflow, uri, found):
    assert find_files(uri.replace("HOST", mlflow.server.host), client) == found


@pytest.mark.parametrize(("uri", "sentence"), [
    ("", "disk of the MLflow server.*--serve-artifacts"),
    ("/mlruns/1/artifacts", "disk of the MLflow server.*--serve-artifacts"),
    ("file:///etc", "disk of the MLflow server"),
    ("FILE:/etc", "disk of the MLflow server"),
    ("mlflow-artifacts://elsewhere/1/a", "another host"),
    ("http://elsewhere/api/2.0/mlflow-artifacts/artifacts/1/a", "own proxy"),
    ("http://HOST.elsewhere/api/2.0/mlflow-artifacts/artifacts/1/a", "own proxy"),
    ("ftp://host/a", "own proxy"),
    ("gs://bucket/a", "own proxy"),
    ("dbfs:/databricks/mlflow/1", "Unity Catalog"),
    ("s3:///a", "names no bucket"),
    ("s3://bucket", "not a plain one"),
    ("s3://bucket/a/../b", "not a plain one"),
    ("mlflow-artifacts:/", "not a plain one"),
    ("mlflow-artifacts:/1/../2", "not a plain one"),
    ("mlflow-artifacts:/1/%2e%2e/2", "not a plain one"),
    ("mlflow-artifacts:/1/a?version=1", "not a plain one"),
    ("mlflow-artifacts:/1//a", "not a plain one"),
    ("runs:/", "does not know"),
    ("runs://host/r1/a", "does not know"),
    ("models:/m-2", "does not know"),
    ("models:/../runs/get", "does not know"),
    ("models://host/m-1", "does not know"),
])  # fmt: skip
def test_what_leads_elsewhere_is_refused_with_a_sentence(client, mlflow, uri, sentence):
    with pytest.raises(ModelRefused, match=sentence):
        find_files(uri.replace("HOST", mlflow.server.host), client)


@pytest.mark.parametrize("uri", ["file:///etc", "runs:/r2/a", "models:/m-1", "http://elsewhere/a"])
def test_a_run_does_not_lead_elsewhere_either(client, mlflow, uri):
    mlflow.run = {"info": {"artifact_uri": uri}}
    with pytest.raises(ModelRefused):
        find_files("runs:/r1/model", client)


@pytest.mark.parametrize("name", ["..", "../a", "a/b", "/etc/passwd", "", "a\\b", "a\0b", "...", "./a"])
@pytest.mark.parametrize("is_dir", [True, False])
def test_a_listing_that_leads_elsewhere_is_refused(registry, mlflow, name, is_dir):
    mlflow.listed["1/models/m-1/artifacts"].append({"path": name, "is_dir": is_dir, "file_size": 1})
    with pytest.raises(ModelRefused, match="leads elsewhere"):
        registry.files("fraud", "1")


def test_hidden_files_are_left_out_and_folders_are_walked(registry, mlflow):
    top = "1/models/m-1/artifacts"
    mlflow.listed = {
        top: [
            {"path": ".DS_Store", "file_size": 9},
            {"path": "empty"},
            {"path": "data", "is_dir": True},
            {"path": "text", "file_size": "7"},
        ],
        f"{top}/data": [{"path": "model.bin", "file_size": 5}, {"path": ".cache", "is_dir": True}],
    }
    assert registry.files("fraud", "1") == {"empty": 0, "text": 7, "data/model.bin": 5}


def test_folders_without_end_and_too_many_files_are_refused(registry, mlflow, monkeypatch):
    monkeypatch.setattr(artifacts_module, "_MOST_FILES", 3)
    monkeypatch.setattr(artifacts_module, "_MOST_FOLDERS", 5)
    mlflow.listed["1/models/m-1/artifacts"] = [{"path": f"f{number}"} for number in range(4)]
    with pytest.raises(ModelRefused, match="more than 3 files"):
        registry.files("fraud", "1")
    always = type("Always", (dict,), {"get": lambda *_: [{"path": "again", "is_dir": True}]})
    mlflow.listed = always()
    with pytest.raises(ModelRefused, match="more than 5 folders"):
        registry.files("fraud", "1")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(registry, mlflow):
    mlflow.listed["1/models/m-1/artifacts"] = [{"path": "a", "file_size": 5 * 1024**3}]
    with pytest.raises(ModelRefused, match="larger than"):
        registry.files("fraud", "1")


@pytest.mark.parametrize("content", [b"", b"a" * 2])
def test_a_file_that_is_not_as_long_as_its_listing_says_is_unavailable(registry, mlflow, content):
    mlflow.content = content
    registry.files("fraud", "1")
    with pytest.raises(RegistryUnavailable, match="its listing says 1"):
        list(registry.read("fraud", "1", "a"))


def test_without_files_there_is_no_version(registry, mlflow):
    mlflow.listed = {}
    with pytest.raises(UnknownModel, match="no files"):
        registry.files("fraud", "1")
    with pytest.raises(NoManifest):
        registry.manifest("fraud", "1")


@pytest.mark.parametrize(("content", "error"), [
    (b"inputs: [{name: X, datatype: FP64, shape: [-1, 2]}]", NoManifest),
    (b"{}", NoManifest),
    (b"", ModelRefused),
    (b"[1]", ModelRefused),
    (b"a: [", ModelRefused),
    (b"sha256: abc", ModelRefused),
])  # fmt: skip
def test_a_model_yaml_of_a_person_is_no_manifest(registry, mlflow, content, error):
    """It pins no files, and is taken into account when the manifest is made. What is no YAML is refused."""
    mlflow.listed["1/models/m-1/artifacts"] = [{"path": "model.yaml", "file_size": max(len(content), 1)}]
    mlflow.content = content
    for _ in range(2):
        with pytest.raises((NoManifest, ModelRefused)) as raised:
            registry.manifest("fraud", "1")
        assert raised.type is error


def test_a_version_that_is_not_ready_is_unknown_until_it_is(registry, mlflow):
    mlflow.version["status"] = "PENDING_REGISTRATION"
    with pytest.raises(UnknownModel, match="PENDING_REGISTRATION"):
        registry.manifest("fraud", "1")
    mlflow.version["status"] = "READY"
    with pytest.raises(NoManifest):
        registry.manifest("fraud", "1")


def test_where_files_are_is_asked_once_for_each_registration(registry, mlflow):
    """A model that is deleted and made anew has the same numbers again."""

    def asked() -> int:
        return sum("get-download-uri" in seen.path for seen in mlflow.server.seen)

    for _ in range(3):
        registry.files("fraud", "1")
    assert asked() == 1
    mlflow.version["creation_timestamp"] = 5
    mlflow.uri = "mlflow-artifacts:/2/a"
    mlflow.listed["2/a"] = [{"path": "b", "file_size": 1}]
    assert list(registry.files("fraud", "1")) == ["b"]
    assert asked() == 2
