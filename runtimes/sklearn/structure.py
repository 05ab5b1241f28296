"""The parts of a fitted estimator: what it hands its rows to, and every object inside it."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

_DELEGATES = ("best_estimator_", "estimator_", "regressor_", "classifier_", "_preprocessor")
_ENSEMBLES = ("estimators_", "calibrated_classifiers_")
_MOST_PARTS = 1_000_000
_PLAIN = (str, bytes, int, float, bool, type(None))


def unwrapped(estimator: Any) -> Any:
    """Return the estimator that a search has found, or the estimator itself. A search only passes calls on."""
    while hasattr(estimator, "best_estimator_") and type(estimator).__module__.startswith("sklearn.model_selection."):
        estimator = estimator.best_estimator_
    return estimator


def is_pipeline(estimator: Any) -> bool:
    """Return True for scikit-learn's own pipelines, which do nothing but call one step after the other."""
    return type(estimator) is Pipeline


def delegates(estimator: Any) -> Iterator[Any]:
    """Return the fitted estimators that get the same columns as this one."""
    for name in _DELEGATES:
        inner = getattr(estimator, name, None)
        if inner is not None:
            yield inner
    for name in _ENSEMBLES:
        members = getattr(estimator, name, None)
        if isinstance(members, (list, tuple)) and members:
            yield from (getattr(member, "estimator", member) for member in members)


def parts(root: object) -> Iterator[object]:
    """Return every object inside an estimator once, itself included, as far as Python's attributes lead."""
    waiting: list[object] = [root]
    seen: dict[int, object] = {}  # keeps them, as an address may be used again
    while waiting and len(seen) < _MOST_PARTS:
        part = waiting.pop()
        if isinstance(part, _PLAIN) or id(part) in seen:
            continue
        seen[id(part)] = part
        yield part
        waiting.extend(_inside(part))


def _inside(part: object) -> Iterator[object]:
    if isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, (list, tuple, set)):
        yield from part
    elif isinstance(part, np.ndarray):
        if part.dtype == object:
            yield from part.ravel().tolist()
    elif not isinstance(part, type):
        yield from getattr(part, "__dict__", {}).values()


def use_pandas(root: object) -> None:
    """Let steps that hand on polars frames hand on pandas frames with the same names where polars is not installed."""
    if find_spec("polars") is not None:
        return
    for part in parts(root):
        config = getattr(part, "__dict__", {}).get("_sklearn_output_config")
        if isinstance(config, dict) and config.get("transform") == "polars":
            config["transform"] = "pandas"


def use_one_thread(root: object) -> None:
    """Make estimators answer in the calling thread: `n_jobs` of a training machine would start processes here."""
    for part in parts(root):
        if isinstance(part, BaseEstimator) and part.__dict__.get("n_jobs") is not None:
            part.__dict__["n_jobs"] = None
