"""What a file of LightGBM, XGBoost or CatBoost says about its model.

Numbers become one input with the features as its columns. If some features are categories or text, each feature is an
input of its own.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from runtimes.draft import Draft
from runtimes.load_options import LoadOptions
from runtimes.manifest import Example, Files, RuntimeName, TensorSpec
from runtimes.trees.model import LABEL, PREDICTION, PROBABILITIES, RAW_SCORE, Feature, TreeModel
from runtimes.trees.runtime import read_model

_MATRIX = "X"
_MOST_EXAMPLES = 4
"""Categories that are shown in model.yaml. XGBoost refuses any that it does not know."""


def draft_lightgbm(files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    """Read the features and outputs of a LightGBM model.

    Raises:
        ModelRefused: LightGBM is not installed, or cannot read the file.
    """
    return _draft("lightgbm", files, file, options, said)


def draft_xgboost(files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    """Read the features and outputs of an XGBoost model. Raises like `draft_lightgbm`."""
    return _draft("xgboost", files, file, options, said)


def draft_catboost(files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    """Read the features and outputs of a CatBoost model. Raises like `draft_lightgbm`."""
    return _draft("catboost", files, file, options, said)


def _draft(library: RuntimeName, files: Files, file: str, options: LoadOptions, said: Mapping[str, Any]) -> Draft:
    model = read_model(library, files[file], options)
    datatype = import_module(f"runtimes.trees.{library}").FEATURE_DATATYPE
    names = _class_names(model, said)
    said_outputs = _named(said.get("outputs"))
    usual = (LABEL, PROBABILITIES) if LABEL in model.outputs else (PREDICTION,)
    outputs = tuple(_output(model, name, names) for name in model.outputs if name in usual or name in said_outputs)
    return Draft(
        library, file, _inputs(model, datatype), outputs, (*_remarks(model, names), *_on_missing(library, said))
    )


def _inputs(model: TreeModel, datatype: str) -> tuple[TensorSpec, ...]:
    features = model.features
    if all(feature.kind == "number" for feature in features):
        columns = tuple(feature.name for feature in features) if model.named else ()
        return (TensorSpec(_MATRIX, datatype, (-1, len(features)), columns),)
    return tuple(_input(feature, datatype) for feature in features)


def _input(feature: Feature, datatype: str) -> TensorSpec:
    if feature.kind == "number":
        return TensorSpec(feature.name, datatype, (-1,))
    are_integers = feature.categories and all(type(value) is int for value in feature.categories)
    known: tuple[Any, ...] = feature.categories[:_MOST_EXAMPLES]
    example = Example(data=known if are_integers else tuple(map(str, known))) if known else None
    return TensorSpec(feature.name, "INT64" if are_integers else "BYTES", (-1,), example=example)


def _output(model: TreeModel, name: str, names: tuple[str, ...]) -> TensorSpec:
    own = model.outputs[name]
    datatype = own.datatype
    if name == LABEL and not own.shape:
        datatype = _label_datatype(model, names)
    columns = names if name == PROBABILITIES and own.shape == (len(names),) else ()
    return TensorSpec(name, datatype, (-1, *own.shape), columns)


def _label_datatype(model: TreeModel, names: tuple[str, ...]) -> str:
    kinds = {type(value) for value in model.classes}
    by_kind = {bool: "BOOL", int: "INT64", float: "FP64"}
    if len(kinds) == 1 and kinds <= by_kind.keys():
        return by_kind[kinds.pop()]
    return "BYTES" if names else "INT64"


def _named(outputs: object) -> set[str]:
    """Return the outputs that a person names, by the names that they have here."""
    listed = outputs if isinstance(outputs, list | tuple) else ()
    return {str(each.get("source") or each.get("name")) if isinstance(each, Mapping) else str(each) for each in listed}


def _class_names(model: TreeModel, said: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes: those of the file, or else those that a person wrote in model.yaml."""
    if model.classes:
        return tuple(str(value) for value in model.classes)
    outputs = said.get("outputs")
    for output in outputs if isinstance(outputs, list | tuple) else ():
        if isinstance(output, Mapping) and PROBABILITIES in (output.get("source"), output.get("name")):
            return tuple(str(value) for value in output.get("columns") or ())
    return ()


def _on_missing(library: RuntimeName, said: Mapping[str, Any]) -> tuple[str, ...]:
    if library != "xgboost" or said.get("missing") is not None:
        return ()
    return (
        "The file does not say which value means missing; NaN is taken. If it was another one, say --set missing=-999.",
    )


def _remarks(model: TreeModel, names: tuple[str, ...]) -> tuple[str, ...]:
    remarks = list(model.remarks)
    if model.class_count and not names and not model.outputs[LABEL].shape:
        remarks.append(
            "The file does not name the classes: label is the position of the class. To get names, list them as "
            "`columns` of the output probabilities, and declare label as BYTES."
        )
    if not model.named:
        remarks.append("The file does not name the features: they are taken in their order.")
    more = [name for name in model.outputs if name == RAW_SCORE or (name == PREDICTION and LABEL in model.outputs)]
    remarks.append(f"The model also has {' and '.join(more)}; add them to the outputs if they are wanted.")
    return tuple(remarks)
