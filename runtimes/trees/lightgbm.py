"""LightGBM models in its text format (`Booster.save_model`, `LGBMClassifier.booster_.save_model`).

The text lists the categories of a data frame, but not the classes of a classifier: a label is the position of its
class. An unknown category is a missing value. LightGBM compares doubles, so features are best declared as FP64.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import Tensor
from runtimes.errors import ModelRefused
from runtimes.trees.lightgbm_trees import require_sound_trees
from runtimes.trees.model import (
    LABEL,
    PREDICTION,
    PROBABILITIES,
    RAW_SCORE,
    Feature,
    outputs_of,
    two_columns,
)

UNKNOWN_IS_MISSING = True
FEATURE_DATATYPE = "FP64"
_CLASSIFIERS = ("binary", "multiclass", "multiclassova")
_LAST_LINE_OF_TREES = "\nend of trees"


class LightgbmModel:
    """See `runtimes.trees.model.TreeModel`."""

    def __init__(self, content: bytes, threads: int) -> None:
        text = _text(content)
        header = _header(text)
        require_sound_trees(text, header)
        self._booster = _read(text)
        self._threads = threads
        names = self._booster.feature_name()
        objective = header.get("objective", "").split(" ")[0]
        self.class_count = max(2, int(header.get("num_class", "1"))) if objective in _CLASSIFIERS else 0
        self.classes: tuple[object, ...] = ()
        self.named = names != [f"Column_{position}" for position in range(len(names))]
        self.features = tuple(_features(names, self._booster, header.get("feature_infos", "").split(" ")))
        self.remarks: tuple[str, ...] = (
            ("The objective is not in the file: the model answers its raw score.",) if not objective else ()
        )
        wanted = (LABEL, PROBABILITIES) if self.class_count else ()
        self.outputs = outputs_of(np.full((1, len(names)), np.nan), self.predict, (*wanted, PREDICTION, RAW_SCORE))

    def predict(self, columns: Sequence[Tensor] | Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """See `TreeModel.predict`."""
        results: dict[str, Tensor] = {}
        if RAW_SCORE in outputs:
            results[RAW_SCORE] = self._booster.predict(columns, raw_score=True, num_threads=self._threads)
        if any(name != RAW_SCORE for name in outputs):
            answer = results[PREDICTION] = self._booster.predict(columns, num_threads=self._threads)
            if self.class_count:
                probabilities = two_columns(answer) if answer.ndim == 1 else answer
                results |= {PROBABILITIES: probabilities, LABEL: np.argmax(probabilities, axis=1)}
        return results


def _text(content: bytes) -> str:
    """Return the text of a model. LightGBM reads on behind the end of one that was cut short."""
    if content.lstrip()[:1] == b"{":
        raise ModelRefused(
            "This is a dump of a LightGBM model in JSON, which LightGBM cannot read. Save it with Booster.save_model."
        )
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = ""
    text = text.replace("\r\n", "\n")
    if not text.startswith("tree\n") or not {"\r", "\0"}.isdisjoint(text) or not _is_whole(text):
        raise ModelRefused(
            "This is not a whole LightGBM model in its text format. Save it with Booster.save_model (LGBMClassifier: "
            "model.booster_.save_model); a pickle or joblib file of the model is of runtime sklearn."
        )
    return text


def _header(text: str) -> dict[str, str]:
    """Return what LightGBM reads before the first tree. Of a key that comes twice, the last counts."""
    return dict(line.partition("=")[::2] for line in text.partition("\nTree=")[0].split("\n") if line)


def _is_whole(text: str) -> bool:
    """Return True if each tree is as long as the line `tree_sizes` says. If not, LightGBM ends the process."""
    sizes = _header(text).get("tree_sizes")
    at = text.find("\nTree=") + 1
    if sizes is not None and at > 0:
        for number, size in enumerate(sizes.split()):
            if not text.startswith(f"\nTree={number}\n", at - 1) or not size.isdecimal():
                return False
            at += int(size)
    return text.find(_LAST_LINE_OF_TREES, at - 1) >= 0


def _read(text: str) -> Any:
    import lightgbm  # takes a second, and is an extra

    try:
        return lightgbm.Booster(model_str=text)
    except Exception as error:  # LightGBMError, but also errors of its parser
        raise ModelRefused(f"LightGBM cannot read the model: {error}.") from error


def _features(names: Sequence[str], booster: Any, infos: Sequence[str]) -> list[Feature]:
    """Return the features. Those that were of pandas' type category have the categories of their data frame."""
    categories = booster.pandas_categorical or []
    if not categories:
        return [Feature(name) for name in names]
    positions = booster.params.get("categorical_feature")
    if not isinstance(positions, list):
        positions = [at for at, info in enumerate(infos) if info[:1] != "[" and info != "none"]
    if len(positions) != len(categories):
        raise ModelRefused(
            f"The model has {len(positions)} categorical features and categories for {len(categories)}: "
            "the file does not say which are whose. Give all of them pandas' type category, and train it again."
        )
    values = dict(zip(positions, categories, strict=True))
    return [
        Feature(name, "codes", tuple(values[at])) if at in values else Feature(name) for at, name in enumerate(names)
    ]
