"""XGBoost models in JSON or UBJSON (`save_model` of Booster, XGBClassifier and the others).

The file lists the categories of a data frame, but neither the classes of a classifier nor the value that stands for a
missing one: a label is the position of its class, and a missing value is NaN, or what model.yaml calls `missing`. If
training stopped early, the best iteration answers, as in XGBoost's classes for scikit-learn.
"""

import json
import math
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from runtimes.datatypes import Tensor
from runtimes.errors import ModelRefused
from runtimes.trees.model import (
    LABEL,
    PREDICTION,
    PROBABILITIES,
    RAW_SCORE,
    Feature,
    outputs_of,
    two_columns,
)
from runtimes.trees.xgboost_trees import require_sound_trees

UNKNOWN_IS_MISSING = False
FEATURE_DATATYPE = "FP32"
_TWO_CLASSES = ("binary:logistic", "binary:hinge")
_MANY_CLASSES = ("multi:softprob", "multi:softmax")


class XgboostModel:
    """See `runtimes.trees.model.TreeModel`."""

    def __init__(self, content: bytes, threads: int, missing: float = math.nan) -> None:
        self._missing = missing
        self._booster = booster = _read(content, threads)
        require_sound_trees(booster)
        learner = json.loads(booster.save_config())["learner"]
        self._objective = learner["objective"]["name"]
        self._linear = learner["gradient_booster"]["name"] == "gblinear"
        # only trees are predicted by several threads at once: XGBoost's prediction guide, "Thread safety"
        self._lock = threading.Lock() if self._linear else nullcontext()
        best = booster.attr("best_iteration")
        self._range = (0, 0) if best is None or self._linear else (0, int(best) + 1)
        names = booster.feature_names
        self.named = names is not None
        self.features = tuple(_features(booster, names))
        parameters = learner["learner_model_param"]
        self.class_count = 0
        if self._objective in _MANY_CLASSES:
            self.class_count = int(parameters["num_class"])
        elif self._objective in _TWO_CLASSES:
            self.class_count = 2
        self._several_labels = self._objective in _TWO_CLASSES and int(parameters.get("num_target", 1)) > 1
        self.classes: tuple[object, ...] = ()
        self.remarks: tuple[str, ...] = (
            () if best is None else (f"Training stopped early: iterations up to the best, {best}, answer.",)
        )
        wanted = (LABEL, PROBABILITIES) if self.class_count else ()
        row = np.full((1, len(self.features)), np.nan, np.float32)
        self.outputs = outputs_of(row, self.predict, (*wanted, PREDICTION, RAW_SCORE))

    def predict(self, columns: Sequence[Tensor] | Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """See `TreeModel.predict`."""
        results: dict[str, Tensor] = {}
        with self._lock:
            classifies = LABEL in outputs or PROBABILITIES in outputs
            by_margin = self._objective == "multi:softmax"  # it predicts the class alone
            if RAW_SCORE in outputs or (classifies and by_margin):
                results[RAW_SCORE] = self._run(columns, raw=True)
            if PREDICTION in outputs or (classifies and not by_margin):
                results[PREDICTION] = self._run(columns, raw=False)
            if classifies:
                results |= self._classify(results[RAW_SCORE if by_margin else PREDICTION])
        return results

    def _run(self, matrix: Any, *, raw: bool) -> Tensor:
        if self._linear:
            import xgboost

            data = xgboost.DMatrix(matrix, missing=self._missing, nthread=1)
            answer = self._booster.predict(data, output_margin=raw, validate_features=False)
        else:
            answer = self._booster.inplace_predict(
                matrix,
                iteration_range=self._range,
                predict_type="margin" if raw else "value",
                validate_features=False,
                missing=self._missing,  # XGBoost takes NaN as well
            )
        return np.asarray(answer)

    def _classify(self, answer: Tensor) -> dict[str, Tensor]:
        if self._several_labels:
            return {PROBABILITIES: answer, LABEL: (answer > 0.5).astype(np.int64)}
        if answer.ndim == 1:
            return {PROBABILITIES: two_columns(answer), LABEL: (answer > 0.5).astype(np.int64)}
        if self._objective == "multi:softmax":
            powers = np.exp(answer - answer.max(axis=1, keepdims=True))
            answer = powers / powers.sum(axis=1, keepdims=True)
        return {PROBABILITIES: answer, LABEL: np.argmax(answer, axis=1)}


def _read(content: bytes, threads: int) -> Any:
    import xgboost  # takes a second, and is an extra

    if content[:1] != b"{":
        raise ModelRefused(
            "This is not an XGBoost model in JSON or UBJSON. Read an older file with the XGBoost that wrote it, and "
            "save it with save_model('model.ubj'); a pickle or joblib file of the model is of runtime sklearn."
        )
    try:
        booster = xgboost.Booster(params={"nthread": threads})
        booster.load_model(bytearray(content))
        booster.set_param({"nthread": threads})
    except Exception as error:  # XGBoostError, but also errors of its parser
        raise ModelRefused(f"XGBoost cannot read the model: {_first_line(error)}.") from error
    return booster


def _first_line(error: Exception) -> str:
    """Return an error without the C++ stack that XGBoost adds."""
    return str(error).partition("\nStack trace")[0].strip() or repr(error)


def _features(booster: Any, names: Sequence[str] | None) -> list[Feature]:
    """Return the features. Those that were of pandas' type category have the categories of their data frame."""
    count = booster.num_features()
    if names is None:
        names = [f"f{position}" for position in range(count)]
    types = booster.feature_types or ["q"] * count
    if "c" not in types:
        return [Feature(name) for name in names]
    exported = booster.get_categories(export_to_arrow=True).to_arrow()
    values = [None if each is None else tuple(each.to_pylist()) for _, each in exported] or [None] * count
    return [
        Feature(name) if kind != "c" or known is None else Feature(name, "codes", known)
        for name, kind, known in zip(names, types, values, strict=True)
    ]
