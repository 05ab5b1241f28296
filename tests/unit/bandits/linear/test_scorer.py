"""Scores are exact products of integers, whatever the order of the features."""

import math
from fractions import Fraction

import numpy as np

from bandits.linear.context import SCALE
from bandits.linear.model import quantised, triangle
from bandits.linear.scorer import Scorer


def test_scores_are_the_exact_products_rounded_once():
    rng = np.random.default_rng(3)
    size = 16
    models = [quantised(rng.normal(size=size), [rng.normal(size=row + 1) for row in range(size)]) for _ in range(4)]
    scorer = Scorer(models, size, with_spreads=True)
    for _ in range(50):
        vector = rng.integers(0, SCALE + 1, size).tolist()
        found = scorer.scores(vector)
        for model, mean, spread in zip(models, found.means, found.spreads, strict=True):
            product = sum(map(lambda one, other: one * other, model.theta, vector))
            assert mean == float(Fraction(product, SCALE) / 2**model.theta_bits)
            along = [sum(map(lambda one, other: one * other, row, vector)) for row in triangle(model.factor, size)]
            exact = math.sqrt(sum(number**2 for number in along)) / 2.0**model.factor_bits / SCALE
            assert math.isclose(spread, exact, rel_tol=1e-14)


def test_spreads_are_left_out_where_no_policy_wants_them():
    model = quantised([0.5], [[1.0]])
    assert Scorer([model, model], 1, with_spreads=False).scores((SCALE,)) == ((0.5, 0.5), ())
