"""What an estimator answers, by name, and its tensors.

`label` is the result of `predict` of classifiers, clusterers and outlier detectors, `prediction` that of regressors.
An estimator with classes and probabilities and without `predict` has the likeliest class as its label.
`probabilities` is `predict_proba`; where that returns a list, each target has its own: `probabilities_0` and so on.
`scores` is `decision_function` or, without one, `score_samples`. `features` is `transform`.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.pipeline import Pipeline

from runtimes.datatypes import BYTES, NUMPY_OF, Tensor, tensor_of_bytes
from runtimes.errors import ModelFailed, ModelRefused
from runtimes.manifest import TensorSpec
from runtimes.sklearn.labels import can_tell, labels_of
from runtimes.sklearn.structure import is_pipeline, unwrapped

MOST_DENSE_BYTES = 256 * 1024 * 1024
"""A sparse result that would take more memory is not made dense."""

LABEL, PREDICTION, PROBABILITIES, SCORES, FEATURES = "label", "prediction", "probabilities", "scores", "features"


class Answers:
    """The results of an estimator. The steps of a pipeline before the last run once for all of them."""

    def __init__(self, estimator: Any) -> None:
        self._head, self._final = _split(unwrapped(estimator))
        self._methods = _methods(self._final)
        self._can_tell = can_tell(self._final)
        self._has_no_predict = _has_no_predict(self._final)
        if self._has_no_predict:
            self._methods = {LABEL: self._likeliest, **self._methods}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all results. The first is the one that a single output of any name gets."""
        return tuple(self._methods)

    def has(self, name: str) -> bool:
        """Return True if there is a result of this name, as far as can be told without running the estimator."""
        return name in self._methods or (name.startswith(f"{PROBABILITIES}_") and PROBABILITIES in self._methods)

    def __call__(self, rows: Any, wanted: Collection[str]) -> dict[str, Any]:
        """Return the results of these names, as scikit-learn returns them. It may raise anything."""
        if self._head is not None:
            rows = self._head.transform(rows)
        families = {PROBABILITIES if name.startswith(f"{PROBABILITIES}_") else name for name in wanted}
        results: dict[str, Any] = {}
        if self._has_no_predict and LABEL in families:
            results[PROBABILITIES] = self._methods[PROBABILITIES](rows)
            results[LABEL] = self._likeliest(results[PROBABILITIES])
            families -= results.keys()
        if self._can_tell and {LABEL, PROBABILITIES} <= families:
            results[PROBABILITIES] = self._methods[PROBABILITIES](rows)
            labels = labels_of(self._final, results[PROBABILITIES])
            if labels is not None:
                results[LABEL] = labels
            families -= results.keys()
        for name in families:
            results[name] = self._methods[name](rows)
        if isinstance(results.get(FEATURES), np.ndarray):
            results[FEATURES] = _rows_of(results[FEATURES], len(rows))
        return _spread(results)

    def _likeliest(self, probabilities: Any) -> Tensor:
        labels: Tensor = np.asarray(self._final.classes_).take(np.argmax(probabilities, axis=1))
        return labels


def _has_no_predict(final: Any) -> bool:
    """Return True for a class of one's own that has probabilities and classes, and no `predict`."""
    return not hasattr(final, "predict") and hasattr(final, "predict_proba") and hasattr(final, "classes_")


def _split(estimator: Any) -> tuple[Any, Any]:
    """Return the steps before the last, and the last. Only where a pipeline does nothing but call them in turn."""
    if not is_pipeline(estimator) or len(estimator.steps) < 2 or estimator.steps[-1][1] in (None, "passthrough"):
        return None, estimator
    head = Pipeline(estimator.steps[:-1])
    return (head, unwrapped(estimator.steps[-1][1])) if hasattr(head, "transform") else (None, estimator)


def _methods(final: Any) -> dict[str, Callable[[Any], Any]]:
    """Return the method of each result, the most important first."""
    names = {
        PREDICTION if is_kind(is_regressor, final) else LABEL: ("predict",),
        PROBABILITIES: ("predict_proba",),
        FEATURES: ("transform",),
        SCORES: ("decision_function", "score_samples"),
    }
    found: dict[str, Callable[[Any], Any]] = {}
    for name, methods in names.items():
        method = next((getattr(final, method) for method in methods if hasattr(final, method)), None)
        if method is not None:
            found[name] = method
    return found


def is_kind(question: Callable[[Any], bool], estimator: Any) -> bool:
    """Ask scikit-learn what kind an estimator is. It raises for classes that do not derive from its own."""
    try:
        return question(estimator)
    except Exception:  # noqa: BLE001  # an estimator of a third party may raise anything
        return False


def _rows_of(features: Tensor, rows: int) -> Tensor:
    """Return features by row. SparsePCA answers one row without its first dimension."""
    return features.reshape(1, -1) if features.ndim == 1 and rows == 1 and features.size > 1 else features


def _spread(results: dict[str, Any]) -> dict[str, Any]:
    """Give each target its own probabilities, and keep them together, too, where they have the same classes."""
    several = results.get(PROBABILITIES)
    if isinstance(several, list):
        results |= {f"{PROBABILITIES}_{target}": each for target, each in enumerate(several)}
        if len({np.shape(each) for each in several}) == 1:
            results[PROBABILITIES] = np.stack(several, axis=1)
        else:
            del results[PROBABILITIES]
    return results


def source_of(spec: TensorSpec, answers: Answers, *, alone: bool) -> str:
    """Return the name of the result that an output holds.

    Raises:
        ModelRefused: there is none. The sentence names those that there are.
    """
    if answers.has(spec.own_name):
        return spec.own_name
    if not answers.names:
        raise ModelRefused("The estimator has neither predict nor transform, so it cannot answer requests.")
    if alone and not spec.source and spec.name != PROBABILITIES:
        return answers.names[0]
    raise ModelRefused(
        f"model.yaml names the output {spec.own_name}; the estimator answers {', '.join(answers.names)}. Another name "
        f"needs a `source`, such as `source: {answers.names[0]}`."
    )


def dense(name: str, result: Any) -> Tensor:
    """Return a result as an array.

    Raises:
        ModelFailed: it is sparse, and too large.
    """
    if hasattr(result, "toarray"):
        size = int(np.prod(result.shape)) * result.dtype.itemsize
        if size > MOST_DENSE_BYTES:
            raise ModelFailed(
                f"The model answers {name} as a sparse matrix {list(result.shape)}, which would take "
                f"{size >> 20} MB. Send fewer rows (max_batch), or end the pipeline with a step that has fewer columns."
            )
        result = result.toarray()
    if hasattr(result, "to_numpy"):
        result = result.to_numpy()
    array = np.asarray(result)
    return np.array(array.tolist()) if array.dtype == object and _is_numbers(array) else array


def _is_numbers(array: Tensor) -> bool:
    return array.size > 0 and all(isinstance(each, (bool, int, float, np.number, np.bool_)) for each in array.flat)


def cast(spec: TensorSpec, results: Mapping[str, Any], source: str) -> Tensor:
    """Return a result as its output declares it: cast within its kind only. A probability never becomes an integer.

    Raises:
        ModelFailed: it is of another kind, or there is none.
    """
    if source not in results:
        raise ModelFailed(f"The model answers {', '.join(sorted(results))}, and not {source}.")
    name, dtype = spec.name, NUMPY_OF[spec.datatype]
    tensor = dense(name, results[source])
    if dtype == BYTES:
        return tensor_of_bytes([_as_bytes(name, element) for element in tensor.ravel().tolist()], tensor.shape)
    if not np.can_cast(tensor.dtype, dtype, "same_kind"):
        raise ModelFailed(f"The model answers {name} as {tensor.dtype}, which is no {dtype}.")
    converted: Tensor = tensor.astype(dtype, copy=False)
    if dtype.kind in "iu" and converted is not tensor and not np.array_equal(converted, tensor):
        raise ModelFailed(f"The model answers {name} with a value that {dtype} cannot hold.")
    return converted


def _as_bytes(name: str, element: object) -> bytes:
    """Return text as bytes. A missing value becomes an empty string, as it comes in."""
    if isinstance(element, str):
        return element.encode()
    if isinstance(element, bytes):
        return element
    if element is None or (isinstance(element, float) and element != element):
        return b""
    raise ModelFailed(f"The model answers {name} with {element!r}, which is no text.")
