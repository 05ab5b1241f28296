"""W A W' = I, also for matrices whose rows nearly depend on each other."""

import numpy as np
import pytest

from bandits.errors import BanditError
from bandits.linear.cholesky import inverse_factor


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_the_inverse_factor_makes_the_matrix_the_identity(size):
    rows = np.random.default_rng(size).random((3 * size, size))
    matrix = rows.T @ rows + np.identity(size)
    before = matrix.copy()
    inverse = inverse_factor(matrix)
    assert np.array_equal(matrix, before)
    assert np.array_equal(inverse, np.tril(inverse))
    assert np.abs(inverse @ matrix @ inverse.T - np.identity(size)).max() < 1e-12


def test_a_matrix_that_is_not_positive_definite_is_refused():
    with pytest.raises(BanditError, match="larger ridge"):
        inverse_factor(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(BanditError, match="larger ridge"):
        inverse_factor(np.array([[float("nan")]]))
