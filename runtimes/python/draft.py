"""What a Python file, or a folder of MLflow, says about its model. No code of it is run.

The attributes `inputs` and `outputs` of the class are read as literals. A folder of MLflow that we can run ourselves is
drafted as that kind of model.
"""

import ast
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from runtimes.datatypes import Tensor
from runtimes.draft import Draft
from runtimes.errors import ModelRefused
from runtimes.kinds import drafter_of
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Files, TensorSpec
from runtimes.mlmodel.read import MlflowModel, read_mlmodel, requirement_lines
from runtimes.python.python_class import ENTRY

_MOST_BYTES = 1024 * 1024
_MOST_VALUES = 1024
"""Values of an example in model.yaml. A file of them may have 20,000."""

_REQUIREMENTS = "requirements.txt"


def draft_python(files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:  # noqa: ARG001
    """Read the class of a Python file.

    Raises:
        ModelRefused: it cannot be parsed, has no class with `predict`, or no inputs and outputs are said.
    """
    found = _class(files[file], file, said.get("entry"))
    attributes = _literals(found)
    specs = {kind: _specs(said.get(kind) or attributes.get(kind), kind, found.name) for kind in ("inputs", "outputs")}
    more: dict[str, Any] = {"placement": said.get("placement", "process"), "entry": found.name}
    packages = said.get("packages") or requirement_lines(files.get(_REQUIREMENTS, b""))
    if packages:
        more["packages"] = list(packages)
    remarks = (
        f"The class {found.name} of {file} is code: it runs in a process of its own, if the operator allows it.",
    )
    return Draft("python", file, specs["inputs"], specs["outputs"], remarks, more)


def draft_mlflow(files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    """Read a folder of MLflow. If we can run its flavor ourselves, the draft is of that runtime.

    Raises:
        ModelRefused: MLmodel cannot be read, or no inputs and outputs are said.
    """
    model = read_mlmodel(files)
    merged = {**model.said, **{key: value for key, value in said.items() if value is not None}}
    if model.runtime != "mlflow" and said.get("runtime") != "mlflow":
        return _of_flavor(model, files, options, merged)
    inputs, outputs = (_specs(merged.get(kind), kind, "") for kind in ("inputs", "outputs"))
    more = {key: merged[key] for key in ("packages", "description") if merged.get(key)}
    more["placement"] = merged.get("placement", "process")
    examples = model.examples_for(inputs)
    return Draft("mlflow", file, _with_examples(inputs, examples), outputs, model.remarks, more, examples)


def _with_examples(inputs: tuple[TensorSpec, ...], examples: Mapping[str, Tensor]) -> tuple[TensorSpec, ...]:
    """Give the inputs the first row of the input example, if it is short: a model may not like zeros and empty texts.

    NaN stays away: what processes tell each other in JSON has none.
    """
    rows = {
        spec.name: examples[spec.name][:1] if spec.shape[:1] == (-1,) else examples[spec.name]
        for spec in inputs
        if spec.name in examples
    }
    if not all(spec.name in rows and 0 < rows[spec.name].size <= _MOST_VALUES for spec in inputs):
        return inputs
    if not all(np.isfinite(row.astype(np.float64)).all() for row in rows.values() if row.dtype.kind in "fV"):
        return inputs
    return tuple(
        spec if spec.example else structs.replace(spec, example=Example(data=_plain(rows[spec.name].tolist())))
        for spec in inputs
    )


def _plain(value: Any) -> Any:
    """Return lists as tuples, and bytes as text."""
    if isinstance(value, list):
        return tuple(map(_plain, value))
    return value.decode() if isinstance(value, bytes) else value


def _of_flavor(model: MlflowModel, files: Files, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    draft = drafter_of(model.runtime)(files, model.file, options, said)
    examples = model.examples_for(draft.inputs)
    draft = draft._replace(inputs=_with_examples(draft.inputs, examples))
    wanted = model.said.get("outputs")
    if wanted and said["outputs"] == wanted:
        draft = draft._replace(outputs=tuple(spec for spec in draft.outputs if spec.name in wanted))
    beyond = {key: said[key] for key in ("description", "made_with", "trusted_types") if key in said}
    return draft._replace(
        examples=examples or draft.examples, more={**beyond, **draft.more}, remarks=(*model.remarks, *draft.remarks)
    )


def _class(content: bytes, file: str, entry: object) -> ast.ClassDef:
    """Return the class that a person names, or the only one with a method `predict`."""
    if len(content) > _MOST_BYTES:
        raise ModelRefused(f"{file} has more than {_MOST_BYTES} bytes, which is no Python file of a model.")
    try:
        tree = ast.parse(content, file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelRefused(f"{file} cannot be parsed: {error}.") from error
    classes = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef)}
    able = [name for name, each in classes.items() if any(_is_predict(child) for child in each.body)]
    name = str(entry or (able[0] if len(able) == 1 else ENTRY))
    if name not in classes:
        raise ModelRefused(
            f"{file} has no class {name}. Write one with __init__(self, folder) and predict(self, inputs), and name it "
            "as `entry` if it has another name."
        )
    return classes[name]


def _is_predict(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "predict"


def _literals(found: ast.ClassDef) -> dict[str, Any]:
    """Return the attributes of a class that describe its tensors."""
    literals = {}
    for node in found.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and target.id in ("inputs", "outputs"):
                    literals[target.id] = _literal(node.value, target.id)
    return literals


def _literal(node: ast.expr | None, name: str) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelRefused(
            f"The attribute {name} of the class is no literal, so it cannot be read: {error}."
        ) from error


def _specs(written: object, kind: str, name: str) -> tuple[TensorSpec, ...]:
    if not written:
        where = f"as an attribute `{kind}` of the class {name}, or " if name else ""
        raise ModelRefused(
            f"It is not known what the {kind} are. Write them {where}in a model.yaml beside the model: "
            f"{kind}: [{{name: x, datatype: FP64, shape: [-1, 4]}}]."
        )
    try:
        return msgspec.convert(written, tuple[TensorSpec, ...])
    except msgspec.ValidationError as error:
        raise ModelRefused(f"The {kind} of the model cannot be read: {error}.") from error
