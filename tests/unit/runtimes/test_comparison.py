"""The comparison of two models' outputs for the same request."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from runtimes.comparison import LARGEST, compare

NAN, INFINITY = math.nan, math.inf


def scores(*rows: list[float], dtype: object = np.float32) -> list[np.ndarray]:
    return [np.array(rows, dtype)]


@pytest.mark.parametrize(
    ("primary", "shadow", "expected"),
    [
        ([[0.25, 0.75]], [[0.25, 0.75]], (1, 0, 0, 0)),
        ([[0.25, 0.75]], [[0.5, 0.5]], (1, 1, 250_000, 62_500)),
        ([[0.25, 0.75]], [[0.3125, 0.75]], (1, 0, 62_500, 3_906)),  # 1/16: within the tolerance
        ([[0.0], [0.0], [0.0]], [[0.0], [0.5], [-1.0]], (3, 2, 1_500_000, 1_250_000)),
        ([[NAN]], [[NAN]], (1, 0, 0, 0)),
        ([[NAN, 0.0]], [[NAN, 0.5]], (1, 1, 500_000, 250_000)),
        ([[NAN]], [[0.0]], (1, 1, 1_000_000, 1_000_000)),
        ([[0.0], [1.0]], [[0.0], [NAN]], (2, 1, 1_000_000, 1_000_000)),
        ([[NAN, 0.0]], [[0.0, 5.0]], (1, 1, 5_000_000, 25_000_000)),
        ([[INFINITY]], [[INFINITY]], (1, 0, 0, 0)),
        ([[INFINITY]], [[-INFINITY]], (1, 1, 90_000_000, 8_100_000_000)),
        ([[1e30]], [[0.0]], (1, 1, 90_000_000, 8_100_000_000)),
    ],
)
def test_predictions_differ_by_their_largest_value(primary, shadow, expected):
    assert compare(scores(*primary), scores(*shadow), None, 0, len(primary), 0.1) == expected


def test_with_a_label_a_flip_is_another_label_or_a_prediction_that_is_missing():
    def answer(label: int, score: float) -> list[np.ndarray]:
        return [np.array([label]), np.array([[score]])]

    assert compare(answer(1, 0.0), answer(1, 5.0), 0, 1, 1, 0.1) == (1, 0, 5_000_000, 25_000_000)
    assert compare(answer(1, 0.5), answer(2, 0.5), 0, 1, 1, 0.1) == (1, 1, 0, 0)
    assert compare(answer(1, 0.5), answer(1, NAN), 0, 1, 1, 0.1)[1] == 1
    assert compare(answer(1, 0.5), answer(2, NAN), 0, 1, 1, 0.1)[1] == 1


@pytest.mark.parametrize(
    ("primary", "shadow", "flips"),
    [
        (np.array([b"a", b"", b"c"], object), np.array([b"a", b"", b"d"], object), 1),
        (np.array([2**63, 1, 0], np.uint64), np.array([2**63 + 1, 1, 0], np.uint64), 1),
        (np.array([True, False, True]), np.array([True, True, False]), 2),
    ],
)
def test_labels_are_compared_exactly(primary, shadow, flips):
    assert compare([primary], [shadow], 0, None, 3, 0.1) == (3, flips, 0, 0)


def test_outputs_of_different_shapes_are_flips():
    one, other = [np.zeros(2), np.zeros((2, 1))], [np.zeros(2), np.zeros((2, 3))]
    assert compare(one, other, 0, 1, 2, 0.1) == (2, 2, 0, 0)
    assert compare(one, other, None, 1, 2, 0.1) == (2, 2, 0, 0)
    assert compare([np.zeros(3)], [np.zeros(2)], 0, None, 2, 0.1) == (2, 2, 0, 0)


def test_bfloat16_is_compared_as_numbers():
    bf16 = np.dtype(ml_dtypes.bfloat16)
    assert compare(scores([0.5], dtype=bf16), scores([1.0], dtype=bf16), None, 0, 1, 0.1) == (1, 1, 500_000, 250_000)


def test_there_may_be_nothing_to_compare():
    assert compare([], [], None, None, 3, 0.1) == (0, 0, 0, 0)
    assert compare(scores(), scores(), None, 0, 0, 0.1) == (0, 0, 0, 0)
    assert compare([np.zeros((2, 0))], [np.zeros((2, 0))], None, 0, 2, 0.1) == (2, 0, 0, 0)


def test_a_billion_of_the_largest_differences_fit_64_bits():
    assert 1e9 * LARGEST**2 * 1e6 < 2**63


values = st.floats(-200, 200, width=32) | st.sampled_from([NAN, INFINITY, -INFINITY])
answers = st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=5).flatmap(
    lambda shape: st.tuples(*[st_numpy.arrays(np.float32, shape, elements=values)] * 2)
)


@given(answers, st.floats(0, 10))
def test_together_instances_are_compared_as_if_each_were_alone(pair, tolerance):
    one, other = pair
    together = compare([one], [other], None, 0, len(one), tolerance)
    alone = [compare([one[row : row + 1]], [other[row : row + 1]], None, 0, 1, tolerance) for row in range(len(one))]
    pairs, flips, *sums = map(sum, zip(*alone, strict=True))
    assert together[:2] == (pairs, flips)
    assert list(together[2:]) == pytest.approx(sums, abs=len(one))  # each difference is rounded separately
    swapped = compare([other], [one], None, 0, len(one), tolerance)
    assert swapped == together
