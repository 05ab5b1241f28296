"""Folders that a real MLflow writes: what is read out of them, and the same answers as MLflow's own."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.execution.checking.adopt import adopt
from runtimes.golden import golden_requests
from runtimes.kinds import drafter_of
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, PinnedFile
from runtimes.manifest_text import manifest_to_yaml
from runtimes.mlmodel.read import MLMODEL, read_mlmodel
from tests.integration.support_loading import Watched
from tests.support.mlflow_beside import path_with_mlflow, run_module
from tests.support.polling import wait_until


@pytest.fixture(scope="module")
def import_path() -> str:
    return path_with_mlflow()


@pytest.fixture(scope="module")
def folders(import_path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    run_module(import_path, "tests.support.mlflow_folders", str(folder))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def drafted(files: dict[str, bytes], options: LoadOptions) -> Manifest:
    draft = drafter_of("mlflow")(files, MLMODEL, options, {})
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    pinned = tuple(PinnedFile(path, digest) for path, digest in digests.items() if path != draft.file)
    return Manifest(
        runtime=draft.runtime,
        file=draft.file,
        sha256=digests[draft.file],
        files=pinned,
        inputs=draft.inputs,
        outputs=draft.outputs,
        **draft.more,
    )


@pytest.mark.parametrize(
    ("name", "runtime", "file"),
    [
        ("sklearn_skops", "sklearn", "model.skops"),
        ("sklearn_cloudpickle", "sklearn", "model.pkl"),
        ("lightgbm", "lightgbm", "model.lgb"),
        ("lightgbm_wrapper", "sklearn", "model.skops"),
        ("xgboost", "xgboost", "model.ubj"),
        ("catboost", "catboost", "model.cb"),
        ("onnx", "onnx", "model.onnx"),
        ("pyfunc", "mlflow", "MLmodel"),
    ],
)
def test_what_runs_a_folder_and_its_example(folders, name, runtime, file):
    model = read_mlmodel(files_of(folders / name))
    assert (model.runtime, model.file) == (runtime, file)
    given = json.loads((folders / f"{name}.json").read_text())["inputs"]
    examples = model.examples
    assert list(examples) == [spec.name for spec in model.inputs]
    for spec in model.inputs:
        columns = [given[each] for each in spec.columns or (spec.name,)]
        wanted = np.array(columns).T if spec.columns else np.array(columns[0])
        if spec.datatype == "BYTES":
            wanted = np.array([each.encode() for each in wanted], object)
        np.testing.assert_array_equal(examples[spec.name], wanted.astype(examples[spec.name].dtype))


@pytest.mark.parametrize(("name", "output"), [("lightgbm", "prediction"), ("xgboost", "label"), ("catboost", "label")])
def test_trees_answer_like_mlflow_without_it(folders, name, output):
    files, options = files_of(folders / name), LoadOptions()
    manifest = drafted(files, options)
    example = read_mlmodel(files).examples_for(manifest.inputs)
    wanted = json.loads((folders / f"{name}.json").read_text())["answers"]
    assert manifest.outputs[0].name == output
    (answer,) = load(files, manifest, options).run(example, [output])
    np.testing.assert_allclose(answer, wanted)


@pytest.mark.parametrize(
    ("name", "runtime", "outputs"),
    [
        ("sklearn_skops", "sklearn", ["label", "probabilities"]),
        ("sklearn_cloudpickle", "sklearn", ["label", "probabilities"]),
        ("lightgbm", "lightgbm", ["prediction"]),
        ("lightgbm_wrapper", "sklearn", ["label", "probabilities"]),
        ("xgboost", "xgboost", ["label", "probabilities"]),
        ("catboost", "catboost", ["label", "probabilities"]),
        ("onnx", "onnx", ["y"]),
        ("pyfunc", "mlflow", ["twice", "town"]),
    ],
)
def test_a_folder_of_each_flavor_is_adopted_and_its_example_is_a_golden_request(
    folders, import_path, monkeypatch, name, runtime, outputs
):
    ours = set(sys.path)
    monkeypatch.setattr(sys, "path", [*sys.path, *(each for each in import_path.split(os.pathsep) if each not in ours)])
    blobs = {file: folders / name / file for file in files_of(folders / name)}
    options = LoadOptions(
        allow_code=True,
        allow_pickle=name == "sklearn_cloudpickle",
        trusted_types=("lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"),
    )
    (manifest, made), again = (adopt("m", "1", blobs, options) for _ in range(2))
    assert (manifest.runtime, [spec.name for spec in manifest.outputs]) == (runtime, outputs)
    assert (manifest, made) == again
    assert manifest.pinned.keys() == {*blobs, "golden.json"}
    (golden,) = golden_requests(made["golden.json"])
    assert {tensor.shape[0] for tensor in golden.inputs} == {60}
    saved = json.loads((folders / f"{name}.json").read_text())
    wanted = saved["answers"][outputs[0]] if isinstance(saved["answers"], dict) else saved["answers"]
    answered, wanted = golden.outputs[0].data, np.ravel(wanted).tolist()
    assert answered == (wanted if isinstance(wanted[0], str) else pytest.approx(wanted, rel=1e-5))


def test_functions_answer_like_mlflow_and_wrong_ones_say_what_is_wrong(import_path):
    printed = json.loads(run_module(import_path, "tests.support.mlflow_functions"))
    assert {case: ours for case, (ours, _) in printed["pairs"].items()} == {
        case: theirs for case, (_, theirs) in printed["pairs"].items()
    }
    assert len(printed["pairs"]) == 9
    sentences = printed["sentences"]
    assert "predict raised ZeroDivisionError: division by zero" in sentences["raises"]
    assert "predict returned z, y; model.yaml names p" in sentences["other columns"]
    assert "predict returned a ndarray; model.yaml names several outputs" in sentences["no columns"]
    assert "predict raised SystemExit: 4" in sentences["exits"]


@pytest.fixture(scope="module")
def watched(folders, import_path, tmp_path_factory) -> Iterator[Watched]:
    made = Watched(tmp_path_factory.mktemp("served") / "var", POINTSMAN_ALLOW_CODE="true", PYTHONPATH=import_path)
    files = files_of(folders / "pyfunc")
    target = made.models / "pyfunc" / "1"
    for path, content in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(content)
    (target / "model.yaml").write_text(manifest_to_yaml(drafted(files, LoadOptions())))
    made.start()
    yield made
    try:
        made.end()
    finally:
        made.close()


def test_a_python_function_answers_like_mlflow_for_many_clients(watched, folders):
    saved = json.loads((folders / "pyfunc.json").read_text())
    ages, cities = saved["inputs"]["age"], saved["inputs"]["city"]

    def ask(rows: list[int]) -> Any:
        tensors = [
            {"name": "age", "datatype": "FP64", "shape": [len(rows)], "data": [ages[row] for row in rows]},
            {"name": "city", "datatype": "BYTES", "shape": [len(rows)], "data": [cities[row] for row in rows]},
        ]
        return watched.request("POST", "/v2/models/pyfunc/infer", {"inputs": tensors})

    watched.declare({"route": "pyfunc", "arms": {"a": "pyfunc:1"}, "split": {"a": "100%"}})
    wait_until(lambda: ask([0]).status_code == 200, within_s=180.0, shows=lambda: watched.trouble("pyfunc"))

    def client(number: int) -> None:
        generator = np.random.default_rng(number)
        for _ in range(4):
            rows = generator.choice(len(ages), generator.choice([1, 2, 5, 20]), replace=False).tolist()
            response = ask(rows)
            assert response.status_code == 200, response.text
            answers = {each["name"]: each["data"] for each in response.json()["outputs"]}
            assert answers == {name: [values[row] for row in rows] for name, values in saved["answers"].items()}

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(client, range(32)))
