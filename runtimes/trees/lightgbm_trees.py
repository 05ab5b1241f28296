"""Checks the trees in the text of a LightGBM model. LightGBM follows their numbers without looking.

Its reader is `Tree::Tree(const char*, size_t*)`. LightGBM gives a node its number when it splits a leaf, so a child
that is no leaf has a larger number than its parent. The number of a leaf is `~leaf`.
"""

import re
from collections.abc import Mapping

import numpy as np

from runtimes.datatypes import Tensor
from runtimes.errors import ModelRefused

_TREE = re.compile(r"^Tree=", re.MULTILINE)
_INTEGERS = re.compile(r"-?[0-9]+(?: +-?[0-9]+)*")
_MOST_LINES = 22
"""LightGBM takes what follows for the next tree."""

_CATEGORICAL = 1
"""A bit of a decision type."""


def require_sound_trees(text: str, header: Mapping[str, str]) -> None:
    """Check that every tree leads from node to node, and looks at features and categories that there are.

    Raises:
        ModelRefused: one does not.
    """
    try:
        features = _integer(header["max_feature_idx"]) + 1
        sound = _fits(header) and all(_is_sound(_read(block), features) for block in _blocks(text))
    except (KeyError, ValueError, IndexError):  # something is missing, or is no number
        sound = False
    if not sound:
        raise ModelRefused("The trees of the LightGBM model are damaged: their nodes lead nowhere. Save it again.")


def _fits(header: Mapping[str, str]) -> bool:
    """Return True if there are as many results as classes. LightGBM has room for the latter."""
    classes = header["num_class"]
    said = re.findall(r"\bnum_class:([0-9]+)", header.get("objective", ""))
    no_key = "" in header  # LightGBM takes what follows for the key
    return _integer(classes) > 0 and not no_key and {header.get("num_tree_per_iteration", classes), *said} == {classes}


def _blocks(text: str) -> list[str]:
    """Return the lines of each tree, without the one that begins it."""
    starts = [match.start() for match in _TREE.finditer(text)]
    blocks = [text[start : text.find("\n\n", start) + 1] for start in starts]
    return [block.partition("\n")[2] for block in blocks]


def _read(block: str) -> dict[str, str]:
    lines = block.rstrip("\n").split("\n")
    tree = dict(line.split("=", 1) for line in lines)
    if len(lines) > _MOST_LINES or len(tree) != len(lines):
        raise ValueError(block[:40])
    return tree


def _is_sound(tree: Mapping[str, str], features: int) -> bool:
    leaves, sets = _integer(tree["num_leaves"]), _integer(tree["num_cat"])
    if leaves < 1 or len(tree["leaf_value"].split()) != leaves:
        return False
    is_linear = tree.get("is_linear", "0") != "0"
    return _lead_on(tree, leaves, features, sets) and (not is_linear or _has_lines(tree, leaves, features))


def _lead_on(tree: Mapping[str, str], leaves: int, features: int, sets: int) -> bool:
    if leaves == 1:
        return True
    at = np.arange(leaves - 1)
    for side in ("left_child", "right_child"):
        child = _integers(tree[side], leaves - 1)
        if not bool((((child > at) & (child < leaves - 1)) | ((child < 0) & (child >= -leaves))).all()):
            return False
    if not _are_below(_integers(tree["split_feature"], leaves - 1), features):
        return False
    kinds = _integers(tree["decision_type"], leaves - 1) if "decision_type" in tree else np.zeros(leaves - 1, np.int64)
    by_set = np.flatnonzero(kinds & _CATEGORICAL)
    thresholds = tree["threshold"].split()
    chosen = _integers(" ".join(thresholds[node] for node in by_set.tolist()), len(by_set))
    return _are_below(chosen, sets) and (sets < 1 or _has_sets(tree, sets))


def _has_sets(tree: Mapping[str, str], sets: int) -> bool:
    """Return True if each set of categories lies within `cat_threshold`."""
    bounds = _integers(tree["cat_boundaries"], sets + 1)
    _integers(tree["cat_threshold"], int(bounds[-1]))
    return bool(bounds[0] >= 0 and (np.diff(bounds) >= 0).all())


def _has_lines(tree: Mapping[str, str], leaves: int, features: int) -> bool:
    """Return True if the linear model of each leaf has its coefficients, and features that there are."""
    counts = _integers(tree["num_features"], leaves)
    total = int(counts.sum())
    used = _integers(tree.get("leaf_features", ""), total)
    coefficients = tree.get("leaf_coeff", "").split()
    fits = len(tree["leaf_const"].split()) == leaves and len(coefficients) == total
    return fits and bool((counts >= 0).all()) and _are_below(used, features)


def _are_below(numbers: Tensor, end: int) -> bool:
    return bool(((numbers >= 0) & (numbers < end)).all())


def _integer(text: str) -> int:
    return int(_integers(text, 1)[0])


def _integers(text: str, count: int) -> Tensor:
    """Return integers as LightGBM reads them.

    Raises:
        ValueError: there are more or fewer, or something else.
    """
    text = text.strip(" ")
    if not text and count == 0:
        return np.zeros(0, np.int64)
    if not _INTEGERS.fullmatch(text):
        raise ValueError(text[:40])
    numbers = np.array(text.split(), np.int64)
    if len(numbers) != count:
        raise ValueError(text[:40])
    return numbers
