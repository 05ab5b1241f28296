"""Checks the arrays of neighbour searches and support vector machines, which scikit-learn follows without looking.

See `__setstate__` of scikit-learn's binary trees, and `set_model` in its libsvm helper.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]
from sklearn.neighbors import _ball_tree, _kd_tree
from sklearn.svm._base import BaseLibSVM

from runtimes.errors import ModelRefused
from runtimes.sklearn.structure import parts

_BALL_TREES = (_ball_tree.BinaryTree64, _ball_tree.BinaryTree32)
_KD_TREES = (_kd_tree.BinaryTree64, _kd_tree.BinaryTree32)
_CLASSIFIERS = ("c_svc", "nu_svc")


def require_sound_arrays(estimator: Any) -> None:
    """Check that the arrays of each search tree and each support vector machine fit each other.

    Raises:
        ModelRefused: some do not.
    """
    for part in parts(estimator):
        try:
            sound = _is_sound(part)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # one is missing, or of another kind
            sound = False
        if not sound:
            raise ModelRefused(
                f"The arrays of a {type(part).__name__} in the model are damaged: they do not fit each other. Save the "
                "model again."
            )


def _is_sound(part: Any) -> bool:
    if isinstance(part, (*_BALL_TREES, *_KD_TREES)):
        return _is_sound_search(part.__getstate__(), 2 if isinstance(part, _KD_TREES) else 1)
    if isinstance(part, BaseLibSVM) and "support_" in vars(part):
        return _is_sound_machine(part, vars(part))
    return True


def _is_sound_search(state: tuple[Any, ...], bounds_of_each: int) -> bool:
    data, order, nodes, bounds, leaf_size, _, count, *_, metric, weights = state
    rows, features = data.shape
    metric._validate_data(data)
    matrix = metric.__getstate__()[2]
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    start, end = nodes["idx_start"], nodes["idx_end"]
    return (
        order.shape == (rows,)
        and bool(((order >= 0) & (order < rows)).all())
        and len(nodes) == count > 0
        and bounds.shape == (bounds_of_each, count, features)
        and bool(((start >= 0) & (start <= end) & (end <= rows)).all())
        and bool((2 * inner + 2 < count).all())  # where its second child is
        and leaf_size > 0
        and matrix.shape[0] == matrix.shape[1]
        and (weights is None or weights.shape == (rows,))
    )


def _is_sound_machine(machine: BaseLibSVM, own: Mapping[str, Any]) -> bool:
    of_class, vectors, coefficients = own["_n_support"], own["support_vectors_"], own["_dual_coef_"]
    classes, support = len(of_class), len(own["support_"])
    pairs = classes * (classes - 1) // 2
    counts = machine._impl not in _CLASSIFIERS or bool((of_class >= 0).all() and of_class.sum() == support)
    fitted_rows, *features = own["shape_fit_"]
    if own["kernel"] == "precomputed" or callable(own["kernel"]):
        fits = bool(((own["support_"] >= 0) & (own["support_"] < fitted_rows)).all())
    else:
        fits = vectors.shape == (support, *features) and features == [own["n_features_in_"]]
    for array in (vectors, coefficients):
        if sparse.issparse(array):
            array.check_format(full_check=True)
    return (
        counts
        and fits
        and classes > 1
        and coefficients.shape == (classes - 1, support)
        and (not sparse.issparse(coefficients) or coefficients.nnz == (classes - 1) * support)
        and own["_sparse"] == sparse.issparse(vectors)
        and own["_intercept_"].shape == (pairs,)
        and {own[name].shape for name in ("_probA", "_probB")} in ({(0,)}, {(pairs,)})
    )
