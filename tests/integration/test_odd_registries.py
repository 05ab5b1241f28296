"""Registries with names, sources and sizes that nothing is made for: each is served by the rule or refused by name."""

import os
import pickle
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import sklearn
from botocore.exceptions import ClientError
from sklearn.linear_model import LogisticRegression

from registry_sync.background import at_once
from registry_sync.catalogue import Catalogue
from registry_sync.copy.local_copy import LocalCopy
from registry_sync.copy.sync import Sync
from registry_sync.errors import RegistryError, UnknownModel
from registry_sync.open import open_publisher, open_registry, open_remote
from router.spec.references import parse_ref
from router.spec.spec import ArmRef
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from runtimes.manifest_text import manifest_to_yaml
from store.open import open_store
from tests.integration.support_registries import Followed, manifest_of, open_site
from tests.support.components import by_hand
from tests.support.gateway_process import running
from tests.support.mlflow_server import MlflowServer
from tests.support.registry_sites import INPUTS, OUTPUTS, MlflowSite, S3Site, times
from tests.support.routes import declare

ODD = (
    "a b", "ü-木", "a%2Fb", "../x", "a/b", "n" * 200, "line\nbreak", ".hidden", "..", "a'b", 'a"b', "a'\"b", "a\\b",
    "%", "*", "a:1", "a@b", "\x1b[2J", "a?b#c", " ",
)  # fmt: skip
CONTENT = {"model.onnx": b"a model"}
BIG_BYTES = 300 * 1024**2
MOST_GROWTH_BYTES = 100 * 1024**2


@pytest.fixture
def environment(monkeypatch, s3_server) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_", "DATABRICKS_"))]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)


def put_everywhere(kind: str, root: str, request: pytest.FixtureRequest, name: str, version: str) -> bool:
    """Put a version with an alias there, past all publishers. Return False if the registry takes no such name."""
    manifest, aliases = manifest_to_yaml(manifest_of(CONTENT)).encode(), f"champion: {version!r}".encode()
    files = {f"{version}/model.onnx": CONTENT["model.onnx"], f"{version}/model.yaml": manifest, "aliases.yaml": aliases}
    if kind == "directory":
        if "/" in name or name in ("..", "."):
            return False
        for file, content in files.items():
            path = Path(root) / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return True
    if kind == "s3":
        client = boto3.client("s3")
        for file, content in files.items():
            try:
                client.put_object(Bucket="models", Key=f"{root}/{name}/{file}", Body=content)
            except ClientError:
                return False
        return True
    server: MlflowServer = request.getfixturevalue("mlflow_server")
    created = httpx.post(
        f"{server.url}/api/2.0/mlflow/registered-models/create", json={"name": name}, timeout=60.0, trust_env=False
    )
    if created.status_code != 200:
        return "already exists" in created.text
    run = server.ask("POST", "runs/create", experiment_id="0")["run"]["info"]
    for file in ("model.onnx", "model.yaml"):
        server.put_file(run["artifact_uri"], f"model/{file}", files[f"{version}/{file}"])
    source = f"{run['artifact_uri']}/model"
    server.ask("POST", "model-versions/create", name=name, source=source, run_id=run["run_id"])
    server.ask("POST", "registered-models/alias", name=name, alias="champion", version="1")
    return True


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", ["directory", "s3", "mlflow"])
def test_odd_names_of_others_models_harm_no_model(kind, request, tmp_path):
    """They are listed, and asked for one by one; the copy follows a good model, and pairs of upper and lower case."""
    root = str(tmp_path / "models") if kind == "directory" else tmp_path.name
    good = {"Fraud", "fraud", "x"}
    made = {name for name in (*ODD, *good) if put_everywhere(kind, root, request, name, "1")}
    assert good <= made
    server: Any = request.getfixturevalue("mlflow_server") if kind == "mlflow" else None
    url = {"directory": root, "s3": f"s3://models/{root}"}.get(kind) or server.registry
    registry = open_registry(url)
    assert good <= set(registry.models())
    refs = [ArmRef(name, alias="champion") for name in (*ODD, *good)]
    for ref in refs:
        _require_answer_or_sentence(lambda name=ref.model: registry.aliases(name))
        _require_answer_or_sentence(lambda name=ref.model: registry.manifest(name, "1"))
        _require_answer_or_sentence(lambda name=ref.model: registry.manifest("fraud", name))
        _require_answer_or_sentence(lambda name=ref.model: registry.versions(name))
    if kind != "directory":
        copy = tmp_path / "copy" / "one"
        sync = Sync(copy, open_remote(url), start=at_once)
        for now_s in (1000.0, 1003.0, 1006.0):
            sync.tick(refs, now_s)
        assert (sync.trouble, set(tmp_path.iterdir())) == ("", {copy.parent})
        registry = LocalCopy(copy)
        assert {path.suffix for path in (copy / "names").iterdir()} == {".json"}
        assert all(sentence.isprintable() for sentence in sync.troubles.values())
    catalogue = Catalogue(registry, LoadOptions())
    for name in good:
        assert catalogue.resolve(parse_ref(f"{name}@champion"))[1] == manifest_of(CONTENT)


def _require_answer_or_sentence(ask: Any) -> None:
    said = ""
    try:
        ask()
    except (RegistryError, ModelRefused) as error:
        said = str(error)
    assert said.isprintable(), said
    assert len(said) < 3000


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("kind", ["directory", "s3", "mlflow"])
@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_not_published(kind, request, tmp_path, name):
    url = {"directory": str(tmp_path / "models"), "s3": f"s3://models/{tmp_path.name}"}.get(kind)
    publisher = open_publisher(url or request.getfixturevalue("mlflow_server").registry)
    with pytest.raises(ModelRefused, match="cannot be published; a name has letters"):
        publisher.publish(name, "1", manifest_of(CONTENT), CONTENT)
    with pytest.raises(ModelRefused, match="cannot be published; a name has letters"):
        publisher.publish("m", name, manifest_of(CONTENT), CONTENT)
    for alias, version in ((name, "1"), ("champion", name)):
        with pytest.raises(ModelRefused, match="cannot be published; a name has letters"):
            publisher.set_alias("m", alias, version)
    assert list(tmp_path.iterdir()) == []


SOURCES = {
    "dbfs:/x": "Register the model in Unity Catalog",
    "s3:/x": "names no bucket",
    "gs://bucket/x": "MLflow's own proxy",
    "http://elsewhere.example/x": "MLflow's own proxy",
    "runs:/0123456789abcdef0123456789abcdef/model": "does not know",
    "models:/m-0123456789abcdef0123456789abcdef": "does not know",
    "mlflow-artifacts://elsewhere.example/x": "another host",
    "file:///x": "disk of the MLflow server",
}


@pytest.mark.usefixtures("environment")
def test_odd_versions_of_mlflow_are_said_each_and_hold_up_no_other(mlflow_server, tmp_path):
    """One source after the other, no files, no versions, an alias of a version that was deleted, a deleted model."""
    site, name = MlflowSite(mlflow_server, {}), tmp_path.name
    ask = mlflow_server.ask
    expected = {}
    for number, (source, sentence) in enumerate(SOURCES.items()):
        model = f"{name}-{number}"
        ask("POST", "registered-models/create", name=model)
        body = {"name": model, "source": source}
        url = f"{mlflow_server.url}/api/2.0/mlflow/model-versions/create"
        if httpx.post(url, json=body, timeout=60.0, trust_env=False).status_code == 200:
            expected[model, "1"] = sentence
    assert len(expected) >= 3, "MLflow itself refuses nearly all sources"
    run = ask("POST", "runs/create", experiment_id="0")["run"]["info"]
    ask("POST", "registered-models/create", name=f"{name}-empty")
    source = f"{run['artifact_uri']}/none"
    ask("POST", "model-versions/create", name=f"{name}-empty", source=source, run_id=run["run_id"])
    expected[f"{name}-empty", "1"] = f"MLflow has no files of {name}-empty:1"
    ask("POST", "registered-models/create", name=f"{name}-none")
    ask("POST", "registered-models/create", name=f"{name}-deleted")
    for each in (f"{name}-deleted", f"{name}-bound", f"{name}-good"):
        site.publish(each, "1", times(2.0))
        site.point(each, "champion", "1")
    sync = Sync(tmp_path / "copy", open_remote(mlflow_server.registry), start=at_once)
    refs = [parse_ref(f"{model}:{version}") for model, version in expected]
    refs += [parse_ref(f"{name}-{each}@champion") for each in ("none", "deleted", "bound", "good")]
    ask("DELETE", "model-versions/delete", name=f"{name}-deleted", version="1")
    for now_s in (1000.0, 1003.0, 1006.0):
        sync.tick(refs, now_s)
    assert sync.trouble == ""
    for key, sentence in expected.items():
        assert sentence in sync.troubles[key], (key, sync.troubles[key])
    copy, catalogue = LocalCopy(tmp_path / "copy"), Catalogue(LocalCopy(tmp_path / "copy"), LoadOptions())
    assert copy.manifest(f"{name}-good", "1") == copy.manifest(f"{name}-bound", "1")
    for each, words in (("none", "has no alias 'champion'; it has none"), ("deleted", "no alias|no version")):
        with pytest.raises(UnknownModel, match=words):
            catalogue.resolve(parse_ref(f"{name}-{each}@champion"))
    ask("DELETE", "registered-models/delete", name=f"{name}-bound")
    sync.tick(refs, 1050.0)
    assert copy.manifest(f"{name}-bound", "1") == copy.manifest(f"{name}-good", "1")
    assert copy.trouble(f"{name}-bound", "1").endswith("any more; its copy is served.")
    assert copy.trouble(f"{name}-good", "1") == ""
    site.close()


@pytest.fixture(params=["s3", by_hand("mlflow")])
def served(request, tmp_path) -> Iterator[Followed]:
    site = open_site(request.param, request, tmp_path, tmp_path.name)
    model = f"times-{tmp_path.name}"
    site.publish(model, "1", times(2.0))
    site.point(model, "champion", "1")
    made = Followed(site, tmp_path / "var")
    with running(made.gateway):
        made.gateway.declare({"route": "times", "arms": {"a": f"{model}@champion"}, "split": {"a": "100%"}})
        yield made
    site.close()


def peak_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def test_a_version_of_300_mib_streams_into_the_copy(served, tmp_path):
    """The companion keeps none of it in memory, and no request fails meanwhile."""
    companion, site, model = served.companion(), served.site, f"times-{tmp_path.name}"
    assert isinstance(site, S3Site | MlflowSite)
    served.wait(lambda: served.serves("times") == {"a": "1"})
    contents = {"model.onnx": times(3.0), "weights.bin": bytes(BIG_BYTES)}
    manifest = manifest_of(contents, inputs=INPUTS, outputs=OUTPUTS)
    before = peak_bytes(companion)
    with served.load("times"):
        site.publisher().publish(model, "2", manifest, contents)
        began_s = time.monotonic()
        site.point(model, "champion", "2")
        served.wait(lambda: served.serves("times") == {"a": "2"}, 240.0)
        took_s = time.monotonic() - began_s
    assert served.companion() == companion
    grown = peak_bytes(companion) - before
    print(f"{type(site).__name__}: {took_s:.1f} s, {grown / 1024**2:.0f} MiB more in the companion")  # noqa: T201
    assert grown < MOST_GROWTH_BYTES


_MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}
  sklearn: {code: null, pickled_model: model.pkl, serialization_format: pickle, sklearn_version: VERSION}
mlflow_version: 3.17.0
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
"""


@pytest.mark.parametrize("kind", [by_hand("s3"), "mlflow"])
def test_consent_that_was_given_after_a_version_was_refused_is_enough(kind, request, tmp_path):
    """The version is neither published again nor fetched again, and no alias is touched."""
    site, model = open_site(kind, request, tmp_path, tmp_path.name), f"pickled-{tmp_path.name}"[:100]
    fitted = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    content, made_with = pickle.dumps(fitted), f"scikit-learn=={sklearn.__version__}"
    if isinstance(site, MlflowSite):
        mlmodel = _MLMODEL.replace("VERSION", sklearn.__version__).encode()
        site.register(model, MLmodel=mlmodel, model_pkl=content)
    else:
        manifest = Manifest(
            runtime="sklearn", file="model.pkl", sha256=sha256(content).hexdigest(), made_with=(made_with,),
            inputs=(TensorSpec("X", "FP64", (-1, 2)),),
            outputs=(TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP64", (-1, 2))),
        )  # fmt: skip
        site.publisher().publish(model, "1", manifest, {"model.pkl": content})
    made = Followed(site, tmp_path / "var")
    with running(made.gateway):
        store = open_store(f"sqlite:///{made.gateway.home / 'pointsman.db'}")
        declare(store, {"route": "pickled", "arms": {"a": f"{model}:1"}, "split": {"a": "100%"}})
        store.close()
        made.wait(lambda: "POINTSMAN_ALLOW_PICKLE" in made.problem("pickled"))
    made.gateway.environment["POINTSMAN_ALLOW_PICKLE"] = "true"
    assert site.proxy is not None
    site.proxy.seen.clear()
    with running(made.gateway):
        ready = f"{made.gateway.url}/v2/models/pickled/ready"
        made.wait(lambda: httpx.get(ready, timeout=60.0, trust_env=False).status_code == 200)
        assert made.problem("pickled") == ""
    assert [path for _, path, _ in site.proxy.seen if path.endswith(".pkl")] == [] or kind == "s3"
    site.close()
