"""Reads the file `MLmodel` of a folder: what kind of model it is, and what it says about its inputs.

Flavors that we run ourselves are taken from their own file, without MLflow. Everything else is a `python_function`,
which MLflow loads (runtime `mlflow`). So is a model that brings modules of its own (`code`).
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtimes.bounded_yaml import load_yaml
from runtimes.datatypes import Tensor
from runtimes.errors import ModelRefused
from runtimes.manifest import Files, RuntimeName, TensorSpec, is_below
from runtimes.mlmodel.example import Example, arrange, read_example
from runtimes.mlmodel.signature import read_specs

MLMODEL = "MLmodel"

_FLAVORS: Mapping[str, tuple[RuntimeName, str]] = {
    "onnx": ("onnx", "data"),
    "lightgbm": ("lightgbm", "data"),
    "xgboost": ("xgboost", "data"),
    "catboost": ("catboost", "data"),
    "sklearn": ("sklearn", "pickled_model"),
}
"""The runtime of each flavor, and the key that names its file. The first that a model has is taken."""

_VERSIONS = {"sklearn": ("sklearn_version", "scikit-learn"), "lightgbm": ("lgb_version", "lightgbm")}
_PICKLES = (".pkl", ".pickle", ".joblib", ".skops")
_CATBOOST_FORMATS = ("cbm", "json")


class MlflowModel(NamedTuple):
    """A folder of MLflow. `said` holds what it says beyond the artifact, as keys of `model.yaml`.

    `example` has the values of its input example by column. `inputs` and `outputs` are those of its signature.
    """

    runtime: RuntimeName
    file: str
    said: Mapping[str, Any]
    example: Example
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    remarks: tuple[str, ...]

    @property
    def examples(self) -> dict[str, Tensor]:
        """The input example as the inputs of the signature."""
        return self.examples_for(self.inputs)

    def examples_for(self, inputs: tuple[TensorSpec, ...]) -> dict[str, Tensor]:
        """Return the input example as these inputs, or nothing if it does not fit."""
        return arrange(self.example, inputs)


def read_mlmodel(files: Files) -> MlflowModel:
    """Read the file `MLmodel` among these files.

    Raises:
        ModelRefused: there is none, MLflow did not write it, it exceeds the limits of `load_yaml`, or it names a file
            that is missing.
    """
    content = _content(files)
    flavors = content["flavors"]
    remarks: list[str] = []
    runtime, file = _runtime(flavors, files, remarks)
    signature = content.get("signature") or {}
    if not isinstance(signature, Mapping):
        raise ModelRefused("MLmodel has a signature that is no mapping.")
    inputs = read_specs(signature.get("inputs"), "input", remarks)
    outputs = read_specs(signature.get("outputs"), "output", remarks)
    if signature.get("params"):
        remarks.append("Parameters of predict are left at their defaults.")
    said: dict[str, Any] = {}
    if runtime in ("sklearn", "mlflow") and inputs:
        said["inputs"] = _as_said(inputs)
    if runtime == "mlflow":
        said |= {"packages": _packages(files)} | ({"outputs": _as_said(outputs)} if outputs else {})
    elif runtime == "sklearn":
        said |= _trusted(flavors) | _made_with(flavors)
    elif str(flavors[runtime].get("model_class")).endswith(".Booster"):
        said["outputs"] = ["prediction"]  # what MLflow answers for a Booster: no label
    said["description"] = f"MLflow {content.get('mlflow_version') or 'of an unknown version'} saved it."
    return MlflowModel(runtime, file, said, _example(content, files), inputs, outputs, tuple(remarks))


def _as_said(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    """Return tensors as a person writes them in model.yaml."""
    return [
        {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
        | ({"columns": list(spec.columns)} if spec.columns else {})
        | ({"example": {"data": spec.example.data}} if spec.example else {})
        for spec in specs
    ]


def _content(files: Files) -> dict[str, Any]:
    if MLMODEL not in files:
        raise ModelRefused(f"There is no file {MLMODEL} in the folder.")
    try:
        content = load_yaml(files[MLMODEL].decode())
    except Exception as error:  # PyYAML raises other errors, too, for tags whose value is of another kind
        raise ModelRefused(f"MLmodel cannot be read: {error}.") from error
    flavors = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavors, dict) or not all(isinstance(each, dict) for each in flavors.values()):
        raise ModelRefused("MLmodel has no mapping `flavors`: MLflow did not write it.")
    return {**content, "flavors": flavors}


def _runtime(flavors: Mapping[str, Any], files: Files, remarks: list[str]) -> tuple[RuntimeName, str]:
    """Return who runs the model, and its file."""
    name = next((each for each in _FLAVORS if each in flavors), "")
    if name and not flavors[name].get("code"):
        runtime, key = _FLAVORS[name]
        file = flavors[name].get(key)
        if not isinstance(file, str) or not is_below(file) or file not in files:
            raise ModelRefused(f"MLmodel names the file {file!r} of the flavor {name}, which is not in the folder.")
        if runtime in ("lightgbm", "xgboost") and file.endswith(_PICKLES):
            runtime = "sklearn"
        if runtime != "catboost" or flavors[name].get("save_format", "cbm") in _CATBOOST_FORMATS:
            remarks.append(f"MLflow's flavor {name}, in {file}: it runs without MLflow.")
            return runtime, file
    if "python_function" not in flavors:
        raise ModelRefused(f"MLmodel has no flavor that can be served; it has {', '.join(map(str, flavors))}.")
    loader = flavors["python_function"].get("loader_module")
    remarks.append(f"MLflow itself loads the model ({loader}), in a process of its own.")
    return "mlflow", MLMODEL


def requirement_lines(content: bytes) -> list[str]:
    """Return the lines of a requirements file that name a package."""
    stripped = [line.partition(" #")[0].strip() for line in content.decode(errors="replace").splitlines()]
    return [line for line in stripped if line and line[0] not in "#-"]


def _packages(files: Files) -> list[str]:
    """Return the packages that the model needs. MLflow's slim package can load it, and has the same versions."""
    lines = requirement_lines(files.get("requirements.txt", b""))
    return [re.sub(r"^mlflow(?![\w-])", "mlflow-skinny", line) for line in lines]


def _trusted(flavors: Mapping[str, Any]) -> dict[str, Any]:
    found = [each.get("skops_trusted_types") for each in flavors.values()]
    types = [str(name) for each in found if isinstance(each, list) for name in each]
    return {"trusted_types": types} if types else {}


def _made_with(flavors: Mapping[str, Any]) -> dict[str, Any]:
    made = [
        f"{package}=={flavors[flavor][key]}"
        for flavor, (key, package) in _VERSIONS.items()
        if isinstance(flavors.get(flavor, {}).get(key), str)
    ]
    return {"made_with": made} if made else {}


def _example(content: Mapping[str, Any], files: Files) -> Example:
    info = content.get("saved_input_example_info")
    path = info.get("artifact_path") if isinstance(info, Mapping) else None
    return read_example(files[path]) if isinstance(path, str) and path in files else {}
