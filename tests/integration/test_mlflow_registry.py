"""What only MLflow has, on a real server: what its own client logs, sources, numbers, deletions, webhooks."""

import base64
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
import yaml
from onnx import helper

from registry_sync.errors import AlreadyPublished, NoManifest, RegistryUnavailable, UnknownModel
from registry_sync.open import open_publisher, open_registry
from registry_sync.registries import RemoteRegistry
from registry_sync.registries.mlflow import search as search_module
from runtimes.errors import ModelRefused
from runtimes.manifest import Manifest, TensorSpec
from tests.support.faulty_proxy import FaultyProxy
from tests.support.gateway_process import GatewayProcess, running
from tests.support.mlflow_server import MlflowServer, mlflow_python
from tests.support.models import onnx_content
from tests.support.polling import wait_until
from tests.support.stub_server import Answer, StubServer

CONTENT = {"model.onnx": b"a model"}
SECRET = "a secret of the tests"  # noqa: S105


@pytest.fixture
def server(mlflow_server, s3_server, monkeypatch) -> MlflowServer:
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return mlflow_server


@pytest.fixture
def registry(server) -> RemoteRegistry:
    return open_registry(server.registry)


@pytest.fixture
def model(tmp_path) -> str:
    return f"m-{tmp_path.name}"


def manifest(content: bytes = b"a model") -> Manifest:
    return Manifest(
        runtime="onnx", file="model.onnx", sha256=sha256(content).hexdigest(),
        inputs=(TensorSpec("x", "FP32", (-1,)),), outputs=(TensorSpec("y", "FP32", (-1,)),),
    )  # fmt: skip


def publish(server: MlflowServer, model: str, version: str, content: bytes = b"a model") -> bool:
    return open_publisher(server.registry).publish(model, version, manifest(content), {"model.onnx": content})


@pytest.mark.parametrize("experiment", ["mlflow", "mlflow_s3"])
def test_what_mlflows_own_client_logs_is_read(server, registry, model, experiment):
    """It has no `model.yaml`. Its files are those that the client reads, byte for byte."""
    logged = server.log_sklearn(model, experiment, approved="true")
    version = logged["version"]
    assert list(registry.versions(model)) == [version] == ["1"]
    with pytest.raises(NoManifest):
        registry.manifest(model, version)
    sizes = registry.files(model, version)
    assert {"MLmodel", "model.skops", "requirements.txt"} <= set(sizes)
    found = {file: b"".join(registry.read(model, version, file)) for file in sizes}
    assert {file: len(content) for file, content in found.items()} == sizes
    assert yaml.safe_load(found["MLmodel"])["flavors"]["sklearn"]["serialization_format"] == "skops"
    printed = server.run(_DIGESTS, f"models:/{model}/1", AWS_ENDPOINT_URL_S3=os.environ["AWS_ENDPOINT_URL_S3"])
    assert yaml.safe_load(printed) == {file: sha256(content).hexdigest() for file, content in found.items()}
    details = registry.details(model, version)
    assert details.tags == {"approved": "true"}
    assert details.run_id == logged["run_id"]
    assert details.source == f"models:/{logged['model_id']}"
    assert details.data_set.startswith("customers@")


_DIGESTS = """
import hashlib, json, pathlib, sys, mlflow
folder = pathlib.Path(mlflow.artifacts.download_artifacts(sys.argv[1]))
files = [path for path in folder.rglob("*") if path.is_file() and path.name != "registered_model_meta"]
print(json.dumps({str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}))
"""


def test_a_tag_of_the_version_goes_before_the_data_set_of_its_run(server, registry, model):
    server.log_sklearn(model, "mlflow", data_set="2026-11")
    assert registry.details(model, "1").data_set == "2026-11"


def test_what_a_run_has_logged_is_read_through_runs(server, registry, model):
    run = server.ask("POST", "runs/create", experiment_id="0")["run"]["info"]
    server.put_file(run["artifact_uri"], "model/model.onnx", b"a model")
    server.ask("POST", "registered-models/create", name=model)
    source = f"runs:/{run['run_id']}/model"
    server.ask("POST", "model-versions/create", name=model, source=source, run_id=run["run_id"])
    assert registry.files(model, "1") == {"model.onnx": 7}
    assert b"".join(registry.read(model, "1", "model.onnx")) == b"a model"


def test_a_version_is_known_before_its_last_file(server, registry, model):
    """What was not there at first is seen later: a listing is not remembered."""
    run = server.ask("POST", "runs/create", experiment_id="0")["run"]["info"]
    server.ask("POST", "registered-models/create", name=model)
    source = f"{run['artifact_uri']}/model"
    server.ask("POST", "model-versions/create", name=model, source=source, run_id=run["run_id"])
    with pytest.raises(UnknownModel):
        registry.files(model, "1")
    with pytest.raises(NoManifest):
        registry.manifest(model, "1")
    server.put_file(run["artifact_uri"], "model/model.onnx", b"a model")
    assert registry.files(model, "1") == {"model.onnx": 7}


@pytest.mark.parametrize("source", ["dbfs:/models/1", "gs://bucket/models/1"])
def test_a_version_whose_files_are_elsewhere_is_refused(server, registry, model, source):
    server.ask("POST", "registered-models/create", name=model)
    server.ask("POST", "model-versions/create", name=model, source=source)
    with pytest.raises(ModelRefused, match="The files are at"):
        registry.files(model, "1")
    assert list(registry.versions(model)) == ["1"]


def test_an_alias_that_is_removed_and_a_version_that_is_deleted_are_gone(server, registry, model):
    publish(server, model, "1")
    publish(server, model, "2", b"another")
    open_publisher(server.registry).set_alias(model, "champion", "2")
    assert registry.all_aliases([model]) == {model: {"champion": "2"}}
    server.ask("DELETE", "registered-models/alias", name=model, alias="champion")
    assert registry.all_aliases([model]) == {model: {}}
    assert registry.manifest(model, "2") == manifest(b"another")
    server.ask("DELETE", "model-versions/delete", name=model, version="2")
    assert list(registry.versions(model)) == ["1"]
    for ask in (registry.manifest, registry.files, registry.details):
        with pytest.raises(UnknownModel, match="it has 1"):
            ask(model, "2")
    server.ask("DELETE", "registered-models/delete", name=model)
    assert registry.all_aliases([model]) == {}
    with pytest.raises(UnknownModel):
        registry.versions(model)


def test_a_model_that_is_deleted_and_made_anew_is_another_one(server, registry, model):
    publish(server, model, "1")
    assert registry.manifest(model, "1") == manifest()
    server.ask("DELETE", "registered-models/delete", name=model)
    publish(server, model, "1", b"another")
    assert registry.manifest(model, "1") == manifest(b"another")
    assert b"".join(registry.read(model, "1", "model.onnx")) == b"another"


def test_prompts_are_no_models(server, registry, model):
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    server.ask("POST", "registered-models/create", name=model, tags=tags)
    assert model not in registry.models()


def test_the_aliases_of_all_models_are_one_request(server, registry, model):
    """Of other models on the server nothing is read, however many there are."""
    models = [f"{model}-{number}" for number in range(30)]
    for each in models:
        server.ask("POST", "registered-models/create", name=each)
    proxy = FaultyProxy(server.url)
    try:
        counted = open_registry(f"mlflow+{proxy.url}")
        assert counted.all_aliases(models) == {key: {} for key in models}
        assert [path.partition("?")[0] for _, path, _ in proxy.seen] == ["/api/2.0/mlflow/registered-models/search"]
    finally:
        proxy.close()


def test_more_models_than_a_page_and_a_filter_hold_are_found(server, registry, model, monkeypatch):
    models = [f"{model}-{number}" for number in range(5)]
    for each in models:
        server.ask("POST", "registered-models/create", name=each)
    monkeypatch.setattr(search_module, "_MOST_FILTER_CHARACTERS", 0)
    monkeypatch.setattr(search_module, "_A_PAGE", 2)
    paged = open_registry(server.registry)
    assert paged.all_aliases(models) == {key: {} for key in models}
    assert set(models) <= set(paged.models())
    for number in range(1, 6):
        publish(server, model, str(number))
    assert list(paged.versions(model)) == ["1", "2", "3", "4", "5"]


def test_an_older_server_that_does_not_take_lists_of_names_is_asked_for_all():
    def answer(seen):
        if "IN%20" in seen.path:
            return Answer({"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid clause"}, 400)
        models = [{"name": name, "aliases": [{"alias": "champion", "version": "1"}]} for name in ("a", "b", "c")]
        return Answer({"registered_models": models})

    with StubServer(answer) as stub:
        registry = open_registry(f"mlflow+{stub.url}")
        for _ in range(2):
            assert registry.all_aliases(["a", "b"]) == {"a": {"champion": "1"}, "b": {"champion": "1"}}
        assert len(stub.seen) == 3


def test_another_number_than_the_next_one_is_refused_and_nothing_is_written(server, registry, model):
    with pytest.raises(AlreadyPublished, match=f"next one of {model} is 1, not 18. Write {model}:1"):
        publish(server, model, "18")
    assert model not in registry.models()
    publish(server, model, "1")
    for version in ("3", "0", "v2", "2.0"):
        with pytest.raises(AlreadyPublished, match="is 2, not"):
            publish(server, model, version)
    assert list(registry.versions(model)) == ["1"]


def test_of_publishers_at_the_same_time_one_gets_the_number(server, registry, model):
    def attempt(number: int) -> bool:
        try:
            return publish(server, model, "1", b"model %d" % number)
        except AlreadyPublished:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1
    assert list(registry.versions(model)) == ["1"]
    made = registry.manifest(model, "1")
    content = registry.fetch(model, "1", made)["model.onnx"]
    assert sha256(content).hexdigest() == made.sha256


def test_a_number_that_was_deleted_is_not_given_again(server, registry, model):
    publish(server, model, "1")
    server.ask("DELETE", "model-versions/delete", name=model, version="1")
    with pytest.raises(AlreadyPublished, match=f"gave it the number 2.*Write {model}:3"):
        publish(server, model, "1")
    assert list(registry.versions(model)) == []
    with pytest.raises(AlreadyPublished, match=f"Write {model}:3"):
        publish(server, model, "1")
    assert publish(server, model, "3")  # as it was told
    assert list(registry.versions(model)) == ["3"]


def test_an_upload_that_fails_leaves_no_version(server, registry, model):
    proxy = FaultyProxy(server.url)
    try:
        proxy.fault, proxy.only = "500", "model.onnx"
        with pytest.raises(RegistryUnavailable):
            open_publisher(f"mlflow+{proxy.url}").publish(model, "1", manifest(), CONTENT)
    finally:
        proxy.close()
    assert model not in registry.models()
    assert publish(server, model, "1")


def test_a_real_webhook_hurries_the_companion(server, model, tmp_path):
    """One with another secret does not."""
    home = tmp_path / "var"
    settings = {"POINTSMAN_ENGINE": "uvicorn", "POINTSMAN_REGISTRY_WEBHOOK_SECRET": SECRET}
    server.ask("POST", "registered-models/create", name=model)
    with running(GatewayProcess(home, "serve", **settings)) as gateway:
        url = f"{gateway.url}/api/registry/webhook"
        for secret, status in (("another", 403), (SECRET, 204)):
            webhook = server.ask(
                "POST", "webhooks", name=f"w-{model}", url=url, secret=secret,
                events=[{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
            )["webhook"]  # fmt: skip
            path = f"webhooks/{webhook['webhook_id']}"
            try:
                tested = server.ask("POST", f"{path}/test")["result"]
                assert tested["response_status"] == status
                assert (home / "registry" / "hurry").exists() == (status == 204)
            finally:
                server.ask("DELETE", path)


def test_a_real_alias_sends_a_webhook_with_the_signature_that_the_gateway_checks(server, model):
    with StubServer(lambda _: Answer()) as receiver:
        server.ask("POST", "registered-models/create", name=model)
        webhook = server.ask(
            "POST", "webhooks", name=f"w-{model}", url=f"{receiver.url}/api/registry/webhook", secret=SECRET,
            events=[{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
        )["webhook"]  # fmt: skip
        try:
            publish(server, model, "1")
            open_publisher(server.registry).set_alias(model, "champion", "1")
            wait_until(lambda: receiver.seen)
        finally:
            server.ask("DELETE", f"webhooks/{webhook['webhook_id']}")
    (seen,) = receiver.seen
    signed = f"{seen.headers['x-mlflow-delivery-id']}.{seen.headers['x-mlflow-timestamp']}.".encode() + seen.body
    digest = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert seen.headers["x-mlflow-signature"] == f"v1,{digest}"


@pytest.mark.parametrize("experiment", ["mlflow", "mlflow_s3"])
def test_the_commands_publish_list_show_and_check(server, registry, model, tmp_path, experiment):
    """A number that is not the next one is refused with the one that is."""
    home = tmp_path / "var"
    inputs, outputs = [TensorSpec("x", "FP32", (-1, 2))], [TensorSpec("y", "FP32", (-1, 2))]
    (tmp_path / "model.onnx").write_bytes(onnx_content([helper.make_node("Neg", ["x"], ["y"])], inputs, outputs))
    gateway = GatewayProcess(home, "serve", POINTSMAN_REGISTRY=server.registry, MLFLOW_EXPERIMENT_NAME=experiment)

    def run(*arguments: str) -> str:
        done = gateway.cli("models", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    file = str(tmp_path / "model.onnx")
    run("add", f"{model}:1", file, "--alias", "champion", "--set", "tags=[approved=true, data_set=2026-11]")
    refused = gateway.cli("models", "add", f"{model}:18", file)
    assert refused.returncode != 0
    assert f"Write {model}:2" in " ".join((refused.stdout + refused.stderr).split())
    run("add", f"{model}:2", file, "--description", "the same")
    assert registry.aliases(model) == {"champion": "1"}
    run("alias", f"{model}:2", "champion")
    assert registry.aliases(model) == {"champion": "2"}
    assert model in run("list", model)
    assert "the same" in run("show", f"{model}:2")
    run("validate", f"{model}:1")
    details = registry.details(model, "1")
    assert (details.tags["approved"], details.data_set) == ("true", "2026-11")


def test_a_server_with_users_takes_the_credentials_of_the_variables_alone(mlflow_server, tmp_path, monkeypatch):
    """It runs instead of the other one, since each takes half a gigabyte."""
    settings = tmp_path / "auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\nadmin_password = a-long-password-1\n"
        f"database_uri = sqlite:///{tmp_path}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    keys = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key"}
    own = MlflowServer(tmp_path / "mlflow", mlflow_python(), "--app-name", "basic-auth", **keys)
    mlflow_server.kill()
    try:
        own.start()
        for password, refused in ((None, True), ("wrong", True), ("a-long-password-1", False)):
            if password:
                monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
                monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
            if refused:
                with pytest.raises(RegistryUnavailable, match=r"refuses the credentials.*MLFLOW_TRACKING_USERNAME"):
                    open_registry(own.registry).models()
        assert publish(own, "fraud", "1")
        registry = open_registry(own.registry)
        assert registry.manifest("fraud", "1") == manifest()
        assert registry.fetch("fraud", "1", manifest()) == CONTENT
        assert registry.all_aliases(["fraud", "none"]) == {"fraud": {}}
        with pytest.raises(UnknownModel):
            registry.manifest("none", "1")
    finally:
        own.kill()
        mlflow_server.start()
