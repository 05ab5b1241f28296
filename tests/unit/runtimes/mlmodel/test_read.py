"""Folders that MLflow 3.17 wrote, as far as they are read: MLmodel, the signature, the input example."""

import json
from typing import Any

import numpy as np
import pytest
import yaml

from runtimes.errors import ModelRefused
from runtimes.manifest import Example, TensorSpec
from runtimes.mlmodel.read import read_mlmodel

PYFUNC = {"loader_module": "mlflow.pyfunc.model", "python_version": "3.11.7"}
SKLEARN = {
    "code": None,
    "pickled_model": "model.skops",
    "serialization_format": "skops",
    "sklearn_version": "1.9.1",
    "skops_trusted_types": None,
}
COLUMNS = [
    {"type": "double", "name": "age", "required": True},
    {"type": "string", "name": "city", "required": True},
    {"type": "long", "name": "n", "required": False},
    {"type": "boolean", "name": "ok", "required": True},
]


def folder(flavors: dict[str, Any], *, inputs: Any = None, outputs: Any = None, example: Any = None, **files: bytes):
    content: dict[str, Any] = {"flavors": {"python_function": PYFUNC} | flavors, "mlflow_version": "3.17.2"}
    if inputs is not None:
        content["signature"] = {"inputs": json.dumps(inputs), "outputs": outputs and json.dumps(outputs)}
    written = {name.replace("__", "."): each for name, each in files.items()}
    if example is not None:
        content["saved_input_example_info"] = {"artifact_path": "input_example.json", "type": "dataframe"}
        written["input_example.json"] = json.dumps(example).encode()
    return {"MLmodel": yaml.safe_dump(content).encode(), **written}


def tensor(dtype: str, shape: list[int], **more: str) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **more}


@pytest.mark.parametrize(
    ("flavor", "file", "runtime"),
    [
        ({"onnx": {"data": "model.onnx"}}, "model.onnx", "onnx"),
        ({"lightgbm": {"data": "model.lgb", "lgb_version": "4.7.0"}}, "model.lgb", "lightgbm"),
        ({"lightgbm": {"data": "model.skops", "lgb_version": "4.7.0"}}, "model.skops", "sklearn"),
        ({"lightgbm": {"data": "model.pkl", "lgb_version": "4.7.0"}}, "model.pkl", "sklearn"),
        ({"xgboost": {"data": "model.ubj", "model_format": "ubj"}}, "model.ubj", "xgboost"),
        ({"catboost": {"data": "model.cb", "save_format": "cbm"}}, "model.cb", "catboost"),
        ({"catboost": {"data": "model.cb", "save_format": "coreml"}}, "model.cb", "mlflow"),
        ({"sklearn": SKLEARN}, "model.skops", "sklearn"),
        ({"sklearn": SKLEARN | {"code": "code"}}, "model.skops", "mlflow"),
        ({"prophet": {"data": "model.pr"}}, "model.pr", "mlflow"),
    ],
)
def test_flavors_that_run_without_mlflow(flavor, file, runtime):
    found = read_mlmodel(folder(flavor) | {file: b""})
    assert (found.runtime, found.file) == (runtime, "MLmodel" if runtime == "mlflow" else file)
    assert found.remarks


def test_columns_of_mixed_types_are_tensors_of_their_own():
    found = read_mlmodel(
        folder(
            {"sklearn": SKLEARN},
            inputs=COLUMNS,
            example={"columns": ["city", "ok", "age", "n"], "data": [["Ulm", True, 0.5, 8], [None, False, None, 9]]},
            model__skops=b"",
        )
    )
    assert found.inputs == (
        TensorSpec("age", "FP64", (-1,)),
        TensorSpec("city", "BYTES", (-1,)),
        TensorSpec("n", "INT64", (-1,)),
        TensorSpec("ok", "BOOL", (-1,)),
    )
    assert found.said["inputs"][1] == {"name": "city", "datatype": "BYTES", "shape": [-1]}
    assert found.said["made_with"] == ["scikit-learn==1.9.1"]
    assert {name: each.tolist() for name, each in found.examples.items() if name != "age"} == {
        "city": [b"Ulm", b""],
        "n": [8, 9],
        "ok": [True, False],
    }
    np.testing.assert_array_equal(found.examples["age"], [0.5, np.nan])
    assert any(remark.startswith("Optional in MLflow") and "n." in remark for remark in found.remarks)


def test_columns_of_numbers_are_one_matrix():
    columns = [COLUMNS[0], COLUMNS[2]]
    example = {"columns": ["age", "n"], "data": [[0.5, 8]]}
    found = read_mlmodel(folder({"sklearn": SKLEARN}, inputs=columns, example=example, model__skops=b""))
    assert found.inputs == (TensorSpec("X", "FP64", (-1, 2), ("age", "n")),)
    assert found.examples["X"].tolist() == [[0.5, 8.0]]


def test_an_example_is_arranged_for_other_inputs():
    example = {"columns": ["age", "n"], "data": [[0.5, 8]]}
    found = read_mlmodel(folder({"xgboost": {"data": "m.ubj"}}, example=example, m__ubj=b""))
    inputs = (TensorSpec("f", "FP32", (-1, 2), ("n", "age")),)
    assert found.examples_for(inputs)["f"].tolist() == [[8.0, 0.5]]
    assert found.examples_for((TensorSpec("other", "FP32", (-1,)),)) == {}


@pytest.mark.parametrize(
    ("column", "spec"),
    [
        (tensor("float32", [-1, 3, 224, 224], name="image"), TensorSpec("image", "FP32", (-1, 3, 224, 224))),
        (tensor("float64", [-1, 2]), TensorSpec("X", "FP64", (-1, 2))),
        (tensor("str", [-1]), TensorSpec("X", "BYTES", (-1,))),
        (tensor("uint8", [-1, 28, 28]), TensorSpec("X", "UINT8", (-1, 28, 28))),
        (
            {"type": "datetime", "name": "when"},
            TensorSpec("when", "BYTES", (-1,), example=Example(data=("2000-01-01T00:00:00",))),
        ),
        ({"type": "integer", "name": "n"}, TensorSpec("n", "INT32", (-1,))),
        ({"type": "float"}, TensorSpec("X", "FP32", (-1,))),
    ],
)
def test_types_of_a_signature(column, spec):
    assert read_mlmodel(folder({}, inputs=[column])).inputs == (spec,)


def test_what_mlflow_runs_has_its_packages_and_outputs():
    requirements = b"mlflow==3.17.2\n# a comment\n--extra-index-url x\nprophet>=1.1 # why\n\n"
    outputs = [{"type": "double", "name": "twice"}, tensor("str", [-1])]
    files = folder({}, inputs=COLUMNS, outputs=outputs) | {"requirements.txt": requirements}
    found = read_mlmodel(files)
    assert found.said["packages"] == ["mlflow-skinny==3.17.2", "prophet>=1.1"]
    assert [each["name"] for each in found.said["outputs"]] == ["twice", "prediction_1"]
    assert found.runtime == "mlflow"


@pytest.mark.parametrize(("made", "said"), [("xgboost.core.Booster", ["prediction"]), ("x.XGBClassifier", None)])
def test_a_booster_answers_its_prediction_as_in_mlflow(made, said):
    flavor = {"xgboost": {"data": "m.ubj", "model_class": made}}
    assert read_mlmodel(folder(flavor, m__ubj=b"")).said.get("outputs") == said


def test_skops_types_that_mlflow_trusts_are_said():
    flavor = {"lightgbm": {"data": "model.skops", "skops_trusted_types": ["lightgbm.basic.Booster"]}}
    assert read_mlmodel(folder(flavor, model__skops=b"")).said["trusted_types"] == ["lightgbm.basic.Booster"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "There is no file MLmodel"),
        ({"MLmodel": b"- 1"}, "no mapping `flavors`"),
        ({"MLmodel": b"flavors: [1]"}, "no mapping `flavors`"),
        ({"MLmodel": b"flavors: {sklearn: 3}"}, "no mapping `flavors`"),
        ({"MLmodel": b"flavors: {keras: {}}"}, "no flavor that can be served; it has keras"),
        ({"MLmodel": b"flavors: {onnx: {data: ../secret}}"}, "names the file '../secret' of the flavor onnx"),
        ({"MLmodel": b"flavors: {onnx: {data: model.onnx}}"}, "which is not in the folder"),
        ({"MLmodel": b"\xff"}, "cannot be read"),
        ({"MLmodel": b"[" * 5000}, "cannot be read"),
        ({"MLmodel": b"a: &a [1,1,1]\nflavors: !!python/object/apply:os.abort []"}, "cannot be read"),
        (folder({}, inputs={"type": "double"}), "cannot be read"),
        (folder({}, inputs=[{"name": "x"}]), "cannot be read"),
        (folder({}, inputs=[tensor("float32", ["many"])]), "cannot be read"),
        (folder({}, inputs=[tensor("colour", [1])]), "has the dtype 'colour'"),
        (folder({}, inputs=[{"type": "map", "name": "m"}]), "m in the signature of MLmodel is of type 'map'"),
    ],
)
def test_what_cannot_be_read_is_refused(files, words):
    with pytest.raises(ModelRefused, match=words):
        read_mlmodel(files)


@pytest.mark.parametrize("example", [b"[" * 100_000, b"\xff", b"3", b"[[1], [1, 2]]"])
def test_an_example_that_cannot_be_read_is_left_alone(example):
    files = folder({}, inputs=[tensor("float64", [-1, 2])], example=0) | {"input_example.json": example}
    assert read_mlmodel(files).examples == {}
