"""What the three libraries have in common: features, and outputs that are named alike.

A classifier has `label` and `probabilities`, which equal what the library's scikit-learn classes predict. `prediction`
is what the library's own `predict` answers: of a regressor, a ranker and an objective of one's own, and of classifiers
of LightGBM and XGBoost, for users of a Booster. Every model has `raw_score`, the sum of its trees.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from runtimes.datatypes import NAME_OF, Tensor
from runtimes.errors import ModelRefused

LABEL, PROBABILITIES, PREDICTION, RAW_SCORE = "label", "probabilities", "prediction", "raw_score"

FeatureKind = Literal["number", "codes", "category", "text"]
"""What a feature takes: numbers, categories that the file lists, categories of any name, or text."""


class Feature(NamedTuple):
    """A feature of a model. `categories` are the values whose position the trees know."""

    name: str
    kind: FeatureKind = "number"
    categories: tuple[object, ...] = ()


class OutputOfTrees(NamedTuple):
    """The datatype of an output, and the shape of one instance."""

    datatype: str
    shape: tuple[int, ...]


class TreeModel(Protocol):
    """A model as its library read it. `named` is True if the features have names that a person gave them.

    `classes` are the classes that a label stands for, as far as the file says, and `class_count` is their number, or 0.
    The output `label` of `predict` is the position of the class; with several labels it is 0 or 1 for each.
    """

    features: tuple[Feature, ...]
    named: bool
    classes: tuple[object, ...]
    class_count: int
    outputs: Mapping[str, OutputOfTrees]
    remarks: tuple[str, ...]

    def predict(self, columns: Sequence[Tensor] | Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """Return the named outputs for a matrix, or for one column of each feature in the model's order."""


def outputs_of(
    columns: Sequence[Tensor] | Tensor, predict: Callable[..., dict[str, Tensor]], names: Sequence[str]
) -> dict[str, OutputOfTrees]:
    """Return the outputs of a model, as it answers one instance.

    Raises:
        ModelRefused: the library raised.
    """
    try:
        results = predict(columns, names)
    except Exception as error:  # a library may raise anything
        raise ModelRefused(f"The model cannot answer one row of missing values: {error}.") from error
    return {name: OutputOfTrees(NAME_OF[results[name].dtype], results[name].shape[1:]) for name in names}


def two_columns(second: Tensor) -> Tensor:
    """Return the probabilities of both classes. The dtype stays."""
    return np.column_stack([1 - second, second])
