"""The comparison of two models' outputs for the same request, instance by instance.

Differences are integers in millionths, so their sums do not depend on the order in which they are added. A difference
above `LARGEST` counts as `LARGEST`: a billion such pairs still fit into the 64 bits of a sum of squares.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtimes.datatypes import Tensor

LARGEST = 90.0
_MILLION = 1e6

Doubles = np.ndarray[Any, np.dtype[np.float64]]


def compare(
    primary: Sequence[Tensor],
    shadow: Sequence[Tensor],
    label: int | None,
    prediction: int | None,
    rows: int,
    tolerance: float,
) -> tuple[int, int, int, int]:
    """Return pairs, flips, and the sums of the differences and of their squares (both in millionths).

    `label` and `prediction` are the indices of the outputs that hold them. A pair is a flip if its labels differ or,
    if there is no label, if its predictions differ by more than `tolerance`. The difference of a pair is the largest
    absolute difference between the values of its predictions. Two values that are both NaN are equal. If only one is
    NaN, the pair is a flip and its difference is 1. Outputs of different shapes are flips without a difference.
    Without label and prediction there are no pairs.
    """
    if label is None and prediction is None:
        return 0, 0, 0, 0
    flipped: Any = False
    if label is not None:
        if primary[label].shape != shadow[label].shape:
            return rows, rows, 0, 0
        flipped = _by_row(primary[label] != shadow[label], rows).any(axis=1)
    if prediction is None:
        return rows, int(np.count_nonzero(flipped)), 0, 0
    if primary[prediction].shape != shadow[prediction].shape:
        return rows, rows, 0, 0
    differences, is_missing = _differences(primary[prediction], shadow[prediction], rows)
    if label is None:
        flipped = differences > tolerance
    differences = np.minimum(differences, LARGEST)
    return (
        rows,
        int(np.count_nonzero(flipped | is_missing)),
        round(float(differences.sum()) * _MILLION),
        round(float(differences @ differences) * _MILLION),
    )


def _differences(primary: Tensor, shadow: Tensor, rows: int) -> tuple[Doubles, Any]:
    """Return the difference of each pair, and for which pairs a value is missing on one side only."""
    one, other = (_by_row(tensor, rows).astype(np.float64) for tensor in (primary, shadow))
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        by_value = np.abs(one - other)
    differences: Doubles = by_value.max(axis=1, initial=0.0)
    if np.isfinite(differences).all():
        return differences, False
    is_missing = np.isnan(one) != np.isnan(other)
    by_value[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    by_value[is_missing] = 1.0
    return by_value.max(axis=1, initial=0.0), is_missing.any(axis=1)


def _by_row(tensor: Tensor, rows: int) -> Tensor:
    """Return one row per instance. A tensor that cannot be divided by the instances is repeated for each of them."""
    if rows and tensor.size % rows == 0:
        return tensor.reshape(rows, -1)
    return np.broadcast_to(tensor.ravel(), (rows, tensor.size))
