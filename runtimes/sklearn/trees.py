"""Checks the nodes of trees. scikit-learn follows their numbers without looking, so wrong ones would end the process.

See "UNTRUSTED_TYPE_REASONS" in skops, which does not trust trees for this reason.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

from runtimes.errors import ModelRefused
from runtimes.sklearn.structure import parts

_WORDS_OF_SET = 8
"""Of 32 bits, for 256 categories."""


def require_sound_trees(estimator: Any) -> None:
    """Check that every tree leads from node to node, and looks at features that there are.

    Raises:
        ModelRefused: one does not.
    """
    for part in parts(estimator):
        owned = getattr(part, "__dict__", {})
        if not _is_sound(part, owned, owned.get("n_features_in_")):
            raise ModelRefused(
                f"The trees of a {type(part).__name__} in the model are damaged: their nodes lead nowhere. Save "
                "the model again."
            )


def _is_sound(part: object, owned: Mapping[str, Any], features: int | None) -> bool:
    if isinstance(part, BaseGradientBoosting):  # hands its rows to the trees without asking these
        trees = [getattr(each, "tree_", None) for each in np.ravel(owned.get("estimators_", ()))]
        return all(isinstance(tree, Tree) and _is_sound_tree(tree, features) for tree in trees)
    if isinstance(part, BaseHistGradientBoosting):
        binned = getattr(owned.get("_bin_mapper"), "is_categorical_", np.zeros(0, bool))
        predictors = chain.from_iterable(owned.get("_predictors", ()))
        return all(_is_sound_predictor(each, features, np.flatnonzero(binned)) for each in predictors)
    tree = owned.get("tree_")
    return not isinstance(tree, Tree) or _is_sound_tree(tree, features)


def _is_sound_tree(tree: Tree, features: int | None) -> bool:
    inner = tree.children_left != -1
    sizes_fit = tree.n_features == features and 0 < len(inner) == len(tree.value)
    return (
        sizes_fit
        and _lead_on(inner, tree.children_left, tree.children_right)
        and _are_features(tree.feature[inner], features)
    )


def _is_sound_predictor(predictor: TreePredictor, features: int | None, categorical: Any) -> bool:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    by_set = nodes[inner & (nodes["is_categorical"] != 0)]
    return (
        len(nodes) > 0
        and _lead_on(inner, nodes["left"].astype(np.int64), nodes["right"].astype(np.int64))
        and _are_features(nodes["feature_idx"][inner], features)
        and bool((by_set["bitset_idx"] < len(predictor.raw_left_cat_bitsets)).all())
        and bool(np.isin(by_set["feature_idx"], categorical).all())
        and predictor.raw_left_cat_bitsets.shape[1:] == (_WORDS_OF_SET,)
    )


def _are_features(indices: Any, features: int | None) -> bool:
    return features is not None and bool(((indices >= 0) & (indices < features)).all())


def _lead_on(inner: Any, left: Any, right: Any) -> bool:
    """Return True if both children of each inner node come after it: then there is no way out, and no way round."""
    at = np.flatnonzero(inner)
    return all(bool(((child[at] > at) & (child[at] < len(inner))).all()) for child in (left, right))
