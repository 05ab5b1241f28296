"""The parts of a fitted estimator: what it hands its rows to, and every object inside it."""

import gc
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from runtimes.errors import ModelRefused

_DELEGATES = ("best_estimator_", "estimator_", "regressor_", "classifier_", "_preprocessor")
_ENSEMBLES = ("estimators_", "calibrated_classifiers_")
_MOST_PARTS = 1_000_000
_PLAIN = frozenset({str, bytes, int, float, complex, bool, type(None)})
_LEADS_OUT = (type, ModuleType)
"""What refers to all of a package."""


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
    """Return every object inside an estimator once, itself included, but for classes, modules, numbers and texts.

    Raises:
        ModelRefused: there are more than are looked at. What comes behind them could not be checked.
    """
    waiting: list[object] = [root]
    seen: dict[int, object] = {}  # keeps them, as an address may be used again
    while waiting:
        part = waiting.pop()
        if _is_plain(part) or id(part) in seen:
            continue
        if len(seen) == _MOST_PARTS:
            raise ModelRefused(
                f"The model consists of more than {_MOST_PARTS:,} objects, too many to check. Save it without what it "
                "does not need to answer, or make it of fewer estimators."
            )
        seen[id(part)] = part
        yield part
        waiting.extend(_inside(part))


def _is_plain(part: object) -> bool:
    """Return True if there is nothing inside an object that is the model's own."""
    if type(part) is np.ndarray:
        return not part.dtype.hasobject
    return type(part) in _PLAIN or isinstance(part, (np.generic, *_LEADS_OUT))


def _inside(part: object) -> Iterable[object]:
    """Return what an object refers to: as keys, in slots, as the instance of a method and in any other way."""
    if hasattr(type(part), "__globals__"):  # a function, which refers to all of its module
        cells = getattr(part, "__closure__", None) or ()
        return [cells, getattr(part, "__defaults__", None), getattr(part, "__kwdefaults__", None)]
    found = gc.get_referents(part)
    if isinstance(part, np.ndarray):  # is no part of the garbage collection
        found += [getattr(part, "__dict__", None)]
        if part.dtype.hasobject:
            found += part.ravel().tolist()
    return found


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
