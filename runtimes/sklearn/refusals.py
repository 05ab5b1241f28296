"""Estimators that cannot answer new rows, and what to do instead."""

from collections.abc import Iterator
from typing import Any

from sklearn.base import is_clusterer
from sklearn.covariance import EmpiricalCovariance
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from runtimes.errors import ModelRefused
from runtimes.sklearn.outputs import Answers, is_kind
from runtimes.sklearn.structure import is_pipeline, unwrapped


def require_answers(estimator: Any) -> None:
    """Check that an estimator can answer rows that it was not fitted on.

    Raises:
        ModelRefused: it cannot. The sentence says what to do.
    """
    if isinstance(_last(estimator), PatchExtractor):
        raise ModelRefused(
            "PatchExtractor answers several patches for an image, not one row for each. Cut the patches before, "
            "and serve the model that takes them."
        )
    if Answers(estimator).names:
        return
    if not hasattr(estimator, "fit"):
        raise ModelRefused(f"The file holds a {type(estimator).__name__}, which is no estimator of scikit-learn.")
    raise ModelRefused(" ".join(_sentences(_last(estimator))))


def _last(estimator: Any) -> Any:
    final = unwrapped(estimator)
    return _last(final.steps[-1][1]) if is_pipeline(final) else final


def _sentences(final: Any) -> Iterator[str]:
    name = type(final).__name__
    if isinstance(final, LocalOutlierFactor):
        yield "This LocalOutlierFactor only judges the rows that it was fitted on. Fit it with novelty=True."
    elif is_kind(is_clusterer, final) or hasattr(final, "row_labels_"):
        yield f"{name} only gives labels to the rows that it was fitted on; it cannot answer new ones."
        yield "Train a classifier on its labels and serve that, or use a clusterer with predict, such as KMeans."
    elif isinstance(final, EmpiricalCovariance):
        yield f"{name} describes the rows that it was fitted on; it has neither predict nor transform."
        yield "To judge new rows by it, fit an EllipticEnvelope."
    elif isinstance(final, NearestNeighbors):
        yield f"{name} has neither predict nor transform. Fit a KNeighborsTransformer, which answers distances,"
        yield "or a KNeighborsClassifier or KNeighborsRegressor."
    elif hasattr(final, "fit_transform"):
        yield f"{name} only transforms the rows that it was fitted on; it cannot answer new ones."
        yield "Use a transformer with transform, such as PCA, or serve a model that learned from its result."
    else:
        yield f"{name} has neither predict nor transform, so it cannot answer requests."
        yield "Serve an estimator that has one of them."
