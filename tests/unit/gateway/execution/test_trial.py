"""What is new on a machine is tried in a process with limits, once; the result is remembered in the home."""

import os

import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gateway.execution import trial
from gateway.execution.process.model import ProcessOptions
from gateway.execution.trial import Trials
from registry_sync.catalogue import VersionKey
from registry_sync.registries.directory import DirectoryRegistry
from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import TensorSpec
from tests.support import linear
from tests.support.hanging_models import LINEAR_INPUTS, LINEAR_OUTPUTS, publish_bomb, publish_endless
from tests.support.models import pickled, write_version

MEGABYTE = 1024 * 1024


class Crashing:
    """An estimator that ends its process when it predicts."""

    def predict(self, features):  # noqa: ARG002  # an estimator's
        os._exit(3)


class Site:
    """A registry and a home with trials."""

    def __init__(self, root, **options) -> None:
        self.models = linear.fill(root / "models")
        self.home = root
        self.options = LoadOptions(allow_pickle=True, **options)

    def require(self, model: str, retry: bool = False) -> None:
        """Try version 1 of a model, in what might be another process than the last time."""
        manifest = DirectoryRegistry(self.models).manifest(model, "1")
        key = VersionKey(model, "1", manifest.sha256)
        Trials(self.home, ProcessOptions(str(self.models), self.options)).require(key, manifest, retry)

    def refused(self, model: str, retry: bool = False) -> str:
        with pytest.raises(ModelRefused) as refused:
            self.require(model, retry)
        return str(refused.value)


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """Return the versions for which a process was started."""
    names: list[str] = []
    start = trial.start_model
    monkeypatch.setattr(trial, "start_model", lambda key, *more: names.append(str(key)) or start(key, *more))
    return names


def test_a_version_that_passes_is_tried_once(tmp_path, started):
    site = Site(tmp_path)
    for _ in range(2):
        site.require("linear")
    assert started == ["linear:1"]


def test_a_version_is_tried_with_the_examples_that_its_runtime_finds(tmp_path):
    """A one-hot encoder refuses an empty string. The manifest gives no example."""
    site = Site(tmp_path)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit([["a"], ["b"]], [0, 1])
    write_version(
        site.models,
        "words",
        "1",
        skops.io.dumps(model),
        file="model.skops",
        inputs=(TensorSpec("X", "BYTES", (-1, 1)),),
        outputs=(TensorSpec("label", "INT64", (-1,)),),
    )
    site.require("words")


def test_a_version_is_tried_again_when_its_manifest_says_something_else(tmp_path, started):
    site = Site(tmp_path)
    site.require("linear")
    content = (site.models / "linear" / "1" / "model.onnx").read_bytes()
    write_version(site.models, "linear", "1", content, inputs=LINEAR_INPUTS, outputs=LINEAR_OUTPUTS[1:])
    assert "model.yaml declares the outputs scores; the model has" in site.refused("linear")
    assert len(started) == 2


def test_a_version_without_end_is_ended_at_the_limit_and_not_tried_again(tmp_path, started, monkeypatch):
    monkeypatch.setattr(trial, "_COSTLY_S", 1.0)
    site = Site(tmp_path, within_s=4.0)
    publish_endless(site.models, "endless", "1")
    for retry in (False, False, True):
        assert "within 4 s (POINTSMAN_LOAD_WITHIN_S)" in site.refused("endless", retry)
    assert started == ["endless:1", "endless:1"]  # at first, and when an operator asks


def test_a_version_that_crashes_is_not_tried_again(tmp_path, started):
    site = Site(tmp_path)
    outputs = LINEAR_OUTPUTS[1:]
    write_version(
        site.models, "crash", "1", pickled(Crashing()), file="model.pkl", inputs=LINEAR_INPUTS, outputs=outputs
    )
    for _ in range(2):
        assert "Its process ended (status 3) while it was loading the model" in site.refused("crash")
    assert started == ["crash:1"]


def test_a_version_that_takes_more_memory_than_allowed_is_refused(tmp_path):
    site = Site(tmp_path, max_bytes=400 * MEGABYTE)
    publish_bomb(site.models, "bomb", "1", 500 * MEGABYTE)
    assert site.refused("bomb") == "loading it takes more memory than 400 MiB (POINTSMAN_LOAD_MAX_BYTES)."
    site.require("linear")


def test_a_refusal_that_costs_little_is_not_remembered(tmp_path, started):
    site = Site(tmp_path)
    assert "changed or damaged" in site.refused("damaged")
    content = (site.models / "linear" / "1" / "model.onnx").read_bytes()
    (site.models / "damaged" / "1" / "model.onnx").write_bytes(content)
    site.require("damaged")
    assert len(started) == 2
