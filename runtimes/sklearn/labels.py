"""Labels out of probabilities, where `predict` says the same: one pass through the model instead of two.

`predict` of forests and trees is the class with the highest probability, in their own code. `predict` of other known
classifiers compares scores of which the probabilities are a monotone function. The two can only differ by rounding, so
the probabilities decide where they differ by more than that. A threshold or a voting decides otherwise; such
classifiers are not listed.
"""

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from runtimes.datatypes import Tensor

_EXACTLY = {RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier, ExtraTreeClassifier}
_MONOTONE = {
    AdaBoostClassifier,
    BaggingClassifier,
    BernoulliNB,
    CalibratedClassifierCV,
    CategoricalNB,
    ComplementNB,
    GaussianNB,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    KNeighborsClassifier,
    LinearDiscriminantAnalysis,
    LogisticRegression,
    LogisticRegressionCV,
    MLPClassifier,
    MultinomialNB,
    QuadraticDiscriminantAnalysis,
    SGDClassifier,
}
_MARGIN = 1e-3
"""Far above the rounding of FP32, 1e-7, through a few operations."""


def can_tell(final: Any) -> bool:
    """Return True if the labels of an estimator may be read off its probabilities."""
    classes = getattr(final, "classes_", None)
    single = isinstance(classes, np.ndarray) and classes.ndim == 1 and getattr(final, "n_outputs_", 1) == 1
    return single and (type(final) in _EXACTLY or type(final) in _MONOTONE)


def labels_of(final: Any, probabilities: Any) -> Tensor | None:
    """Return the labels, or None if two classes of a row are too close to tell."""
    if not isinstance(probabilities, np.ndarray) or probabilities.ndim != 2:
        return None
    if probabilities.shape[1] != len(final.classes_) or not _differ(final, probabilities):
        return None
    labels: Tensor = final.classes_.take(probabilities.argmax(axis=1))
    return labels


def _differ(final: Any, probabilities: Tensor) -> bool:
    if type(final) in _EXACTLY or probabilities.shape[1] == 1:
        return True
    if probabilities.shape[1] == 2:
        return bool((np.abs(probabilities[:, 0] - probabilities[:, 1]) > _MARGIN).all())
    highest = np.partition(probabilities, -2, axis=1)
    return bool((highest[:, -1] - highest[:, -2] > _MARGIN).all())
