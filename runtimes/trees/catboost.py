"""CatBoost models in its binary format (`.cbm`) or its JSON.

The file has the names of features and the classes, of any type. Categories are strings or integers of any value; texts
are strings. CatBoost compares features as FP32.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import BYTES, Tensor
from runtimes.errors import ModelRefused
from runtimes.python.folder import temporary_folder
from runtimes.trees.model import LABEL, PREDICTION, PROBABILITIES, RAW_SCORE, Feature, outputs_of

UNKNOWN_IS_MISSING = True
FEATURE_DATATYPE = "FP32"
_PREDICTION_OF = {"Poisson": "Exponent", "Tweedie": "Exponent", "RMSEWithUncertainty": "RMSEWithUncertainty"}
"""As `CatBoostRegressor.predict`: what a prediction is, if not the sum of the trees."""

_SEVERAL_LABELS = ("MultiLogloss", "MultiCrossEntropy")


class CatboostModel:
    """See `runtimes.trees.model.TreeModel`."""

    def __init__(self, content: bytes, threads: int) -> None:
        self._model = model = _read(content)
        self._threads = threads
        names = list(model.feature_names_)
        categories, texts = set(model.get_cat_feature_indices()), set(model.get_text_feature_indices())
        if model.get_embedding_feature_indices():
            raise ModelRefused("A CatBoost model with features that are embeddings cannot be served.")
        self.named = names != [str(position) for position in range(len(names))]
        self.features = tuple(
            Feature(name, "category" if at in categories else "text" if at in texts else "number")
            for at, name in enumerate(names)
        )
        self.classes: tuple[object, ...] = tuple(np.asarray(model.classes_).tolist())
        self.class_count = len(self.classes)
        self._position_of = {value: position for position, value in enumerate(self.classes)}
        loss = str(model._object._get_loss_function_name()).split(":")[0]  # CatBoost offers no other way
        self._several_labels = loss in _SEVERAL_LABELS
        self._prediction = _PREDICTION_OF.get(loss, "RawFormulaVal")
        self.remarks: tuple[str, ...] = ()
        wanted = (LABEL, PROBABILITIES, RAW_SCORE) if self.classes else (PREDICTION, RAW_SCORE)
        self.outputs = outputs_of(self._one_row(), self.predict, wanted)

    def _one_row(self) -> list[Tensor]:
        return [np.zeros(1, np.float32) if each.kind == "number" else np.array([""], BYTES) for each in self.features]

    def predict(self, columns: Sequence[Tensor] | Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """See `TreeModel.predict`."""
        data = columns if isinstance(columns, np.ndarray) else self._pool(columns)
        results: dict[str, Tensor] = {}
        if RAW_SCORE in outputs:
            results[RAW_SCORE] = self._run(data, "RawFormulaVal")
        if PREDICTION in outputs:
            results[PREDICTION] = self._run(data, self._prediction)
        if PROBABILITIES in outputs:
            results[PROBABILITIES] = self._run(data, "Probability")
        if LABEL in outputs:
            results[LABEL] = self._labels(self._run(data, "Class"))
        return results

    def _run(self, data: Any, kind: str | None) -> Tensor:
        return np.asarray(self._model.predict(data, kind, thread_count=self._threads))

    def _labels(self, predicted: Tensor) -> Tensor:
        """Return the position of each class, or 0 or 1 for each of several labels."""
        if self._several_labels:
            return predicted.astype(np.int64)
        return np.array([self._position_of[value] for value in predicted.ravel().tolist()], np.int64)

    def _pool(self, columns: Sequence[Tensor]) -> Any:
        """Return columns as CatBoost takes them. A data frame keeps the type of each."""
        import pandas as pd

        return pd.DataFrame(dict(zip([each.name for each in self.features], columns, strict=True)), copy=False)


def _read(content: bytes) -> Any:
    import catboost  # takes a second, and is an extra

    is_json = content[:1] == b"{"
    if not is_json and content[:4] != b"CBM1":
        raise ModelRefused(
            "This is not a CatBoost model in its formats cbm or json. Save it with save_model('model.cbm'); a pickle "
            "or joblib file of the model is of runtime sklearn."
        )
    try:
        model = catboost.CatBoost()
        _load(model, content, is_json=is_json)
    except Exception as error:  # CatBoostError, but also errors of its parser
        raise ModelRefused(f"CatBoost cannot read the model: {error}.") from error
    if not model.feature_names_:
        raise ModelRefused("CatBoost reads a model without features out of this file.")
    return model


def _load(model: Any, content: bytes, *, is_json: bool) -> None:
    if not is_json:
        model.load_model(blob=content, format="cbm")
        return
    with temporary_folder() as folder:  # CatBoost reads JSON from files only
        file = folder / "model.json"
        file.write_bytes(content)
        model.load_model(str(file), format="json")
