"""Checks the trees of an XGBoost model, which XGBoost follows without looking.

XGBoost writes what it has read as JSON, so that one reader does for JSON and UBJSON, and sees what XGBoost sees. To
write it, XGBoost itself looks at categories and at the positions of leaves with several values, and ends the process of
the trial if they are wrong.
"""

import json
from typing import Any

import msgspec
import numpy as np

from runtimes.datatypes import Tensor
from runtimes.errors import ModelRefused

_LEAF = -1


class _TreeParam(msgspec.Struct):
    size_leaf_vector: str = "1"


class _Tree(msgspec.Struct):
    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    tree_param: _TreeParam


class _Trees(msgspec.Struct):
    trees: list[_Tree] = []
    tree_info: list[int] = []
    weights: list[float | None] | None = None


class _Booster(msgspec.Struct):
    model: _Trees = msgspec.field(default_factory=_Trees)
    gbtree: "_Booster | None" = None
    weight_drop: list[float] | None = None


class _Size(msgspec.Struct):
    num_class: str = "0"
    num_target: str = "1"
    num_feature: str = "0"


class _Learner(msgspec.Struct):
    gradient_booster: _Booster
    learner_model_param: _Size


class _Saved(msgspec.Struct):
    learner: _Learner


msgspec.json.Decoder(_Saved)  # notes the types now: two threads that do so at once end the process


def require_sound_trees(booster: Any) -> None:
    """Check that every tree leads from node to node, and looks at features that there are.

    Raises:
        ModelRefused: one does not.
    """
    learner = _saved(bytes(booster.save_raw("json"))).learner
    size, own = learner.learner_model_param, learner.gradient_booster
    groups, features = max(int(size.num_class), int(size.num_target), 1), int(size.num_feature)
    model = own.gbtree.model if own.gbtree else own.model
    sound = (
        len(model.tree_info) == len(model.trees)
        and all(0 <= group < groups for group in model.tree_info)
        and (own.weight_drop is None or len(own.weight_drop) == len(model.trees))
        and (model.weights is None or len(model.weights) == (features + 1) * groups)
        and all(_is_sound(tree, features, groups) for tree in model.trees)
    )
    if not sound:
        raise ModelRefused("The trees of the XGBoost model are damaged: their nodes lead nowhere. Save it again.")


def _saved(content: bytes) -> _Saved:
    try:
        return msgspec.json.decode(content, type=_Saved)
    except msgspec.DecodeError:  # XGBoost writes NaN and Infinity
        return msgspec.convert(json.loads(content), _Saved)


def _is_sound(tree: _Tree, features: int, groups: int) -> bool:
    """Return True if each way from the root ends at a leaf. A node that was pruned lies on none."""
    left, right = np.array(tree.left_children, np.int64), np.array(tree.right_children, np.int64)
    indices = np.array(tree.split_indices, np.int64)
    values = int(tree.tree_param.size_leaf_vector)
    if values not in (1, groups):
        return False
    at, met = np.zeros(1, np.int64), 0
    while len(at):
        met += len(at)
        if met > len(left) or not _are_below(at, len(left)):  # a node that is met twice makes them too many
            return False
        is_leaf = left[at] == _LEAF
        at = at[~is_leaf]
        if not _are_below(indices[at], features):
            return False
        at = np.concatenate([left[at], right[at]])
    return True


def _are_below(numbers: Tensor, end: int) -> bool:
    return bool(((numbers >= 0) & (numbers < end)).all())
