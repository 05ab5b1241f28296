"""A version of MLflow's registry gets its manifest out of its files, and the same one wherever that is done."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gateway.execution.checking.adopt import adopt
from registry_sync.publish.understand import with_file
from runtimes.errors import ModelRefused
from runtimes.golden import golden_requests
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Manifest
from tests.support import linear

FRAME = pd.DataFrame({"city": ["Basel", "Ulm"] * 10, "team": ["red", "blue", "red", "red"] * 5})


def estimator() -> Any:
    """Return a model that answers no city that it does not know."""
    return make_pipeline(OneHotEncoder(), LogisticRegression()).fit(FRAME, ["yes", "no"] * 10)


def mlflow_folder(flavor: Mapping[str, Any], **files: bytes) -> dict[str, bytes]:
    """Return a folder as MLflow writes it for the columns of `FRAME`, with two rows as its input example."""
    content = {
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn"}, **flavor},
        "mlflow_version": "3.17.0",
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
        "signature": {"inputs": json.dumps([{"type": "string", "name": name} for name in FRAME])},
        "utc_time_created": "2026-11-29 20:00:00",
    }
    return {
        "MLmodel": yaml.safe_dump(content).encode(),
        "input_example.json": FRAME[:2].to_json(orient="split").encode(),
        "requirements.txt": b"scikit-learn\n",
        **files,
    }


def words_in_skops() -> dict[str, bytes]:
    flavor = {"sklearn": {"pickled_model": "model.skops", "code": None}}
    return mlflow_folder(flavor, **{"model.skops": skops.io.dumps(estimator())})


def blobs(folder: Path, files: Mapping[str, bytes]) -> dict[str, Path]:
    """Write files under their digests, as a copy of a registry does."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, content in files.items():
        found[name] = folder / hashlib.sha256(content).hexdigest()
        found[name].write_bytes(content)
    return found


def adopted(folder: Path, files: Mapping[str, bytes], **options: Any) -> tuple[Manifest, Mapping[str, bytes]]:
    return adopt("fraud", "7", blobs(folder, files), LoadOptions(**options))


def refused(folder: Path, files: Mapping[str, bytes], **options: Any) -> str:
    with pytest.raises(ModelRefused) as error:
        adopted(folder, files, **options)
    return str(error.value)


class Words(NamedTuple):
    """A version of MLflow, the manifest that it got, and the files that were made for it."""

    files: Mapping[str, bytes]
    manifest: Manifest
    made: Mapping[str, bytes]


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Words:
    """Adopt a version once for several tests: its process takes seconds. Some of its files are not of the model."""
    files = words_in_skops()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", "1")
        made = adopted(tmp_path_factory.mktemp("words"), {**files, "__pycache__/x.pyc": b"x", ".hidden": b"x"})
    return Words(files, *made)


def test_a_folder_of_mlflow_gets_a_manifest_that_pins_all_its_files(words):
    files, manifest, made = words
    assert (manifest.runtime, manifest.file) == ("sklearn", "model.skops")
    contents = {**files, **made}
    assert manifest.pinned == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.inputs] == [
        ("city", "BYTES", (-1,)), ("team", "BYTES", (-1,)),
    ]  # fmt: skip


def test_the_input_example_is_that_of_the_warm_up_and_a_golden_request(words):
    _, manifest, made = words
    assert [spec.example for spec in manifest.inputs] == [Example(data=("Basel",)), Example(data=("red",))]
    (golden,) = golden_requests(made[manifest.golden])
    assert {each.name: each.data for each in golden.inputs} == {"city": ["Basel", "Ulm"], "team": ["red", "blue"]}


def test_every_machine_makes_the_same_manifest(words, tmp_path, monkeypatch):
    """Sets have another order in each process, unless PYTHONHASHSEED says which."""
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    manifest, made = adopted(tmp_path, dict(sorted(words.files.items(), reverse=True)))
    assert (manifest, made) == (words.manifest, words.made)
    assert manifest.digest == words.manifest.digest


def test_the_answers_of_another_processor_change_no_digest(words):
    files, manifest, made = words
    content = made[manifest.golden].replace(b"yes", b"no")
    other, _ = with_file(manifest, {**files, **made}, manifest.golden, content)
    assert (other == manifest, other.digest == manifest.digest) == (False, True)


def test_a_model_yaml_beside_mlmodel_counts_as_said(tmp_path):
    said = {"max_batch": 3, "description": "mine", "tags": ["data_set=2026-11"]}
    manifest, _ = adopted(tmp_path, {**words_in_skops(), "model.yaml": yaml.safe_dump(said).encode()})
    assert (manifest.max_batch, manifest.description, manifest.tags) == (3, "mine", ("data_set=2026-11",))
    assert "model.yaml" not in manifest.pinned


def test_a_version_whose_inputs_are_not_known_is_told_what_to_write_and_where(tmp_path):
    content = {"flavors": {"python_function": {"loader_module": "my.module"}}}
    sentence = refused(tmp_path, {"MLmodel": yaml.safe_dump(content).encode()}, allow_code=True)
    for words in ("not known what the inputs are", "in a model.yaml", "beside MLmodel", "log_model_artifact"):
        assert words in sentence


def test_a_pickle_needs_the_operators_consent(tmp_path):
    flavor = {"sklearn": {"pickled_model": "model.pkl", "code": None}}
    files = mlflow_folder(flavor, **{"model.pkl": cloudpickle.dumps(estimator())})
    assert "POINTSMAN_ALLOW_PICKLE" in refused(tmp_path, files)
    assert adopted(tmp_path, files, allow_pickle=True)[0].file == "model.pkl"


def test_code_needs_the_operators_consent(tmp_path):
    files = mlflow_folder({})
    content = yaml.safe_load(files["MLmodel"])
    content["signature"]["outputs"] = json.dumps([{"type": "double", "name": "y"}])
    files["MLmodel"] = yaml.safe_dump(content).encode()
    assert "POINTSMAN_ALLOW_CODE" in refused(tmp_path, files)


def test_a_version_that_is_damaged_or_a_link_is_refused(tmp_path):
    files = words_in_skops()
    assert "cannot" in refused(tmp_path, {**files, "model.skops": files["model.skops"][:500]})
    there = blobs(tmp_path, files)
    there["model.skops"] = tmp_path / "link"
    there["model.skops"].symlink_to(blobs(tmp_path, files)["model.skops"])
    with pytest.raises(ModelRefused, match="is a link"):
        adopt("fraud", "7", there, LoadOptions())


def test_an_example_with_a_missing_number_is_no_example_of_the_warm_up(tmp_path):
    """NaN would be null between processes."""
    models = linear.fill(tmp_path / "models")
    content = {
        "flavors": {"onnx": {"data": "model.onnx"}},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "ndarray"},
    }
    for value, example in ((None, None), (1.5, Example(data=((1.5, 2.0, 3.0, 4.0),)))):
        manifest, made = adopted(
            tmp_path / "blobs",
            {
                "MLmodel": yaml.safe_dump(content).encode(),
                "model.onnx": (models / "linear" / "1" / "model.onnx").read_bytes(),
                "input_example.json": json.dumps([[value, 2, 3, 4]]).encode(),
            },
        )
        assert manifest.inputs[0].example == example
        (golden,) = golden_requests(made[manifest.golden])
        assert np.shape(golden.inputs[0].data) in {(4,), (1, 4)}
