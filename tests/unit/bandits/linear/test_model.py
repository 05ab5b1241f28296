"""Models are integers that JSON holds, and no score of theirs overflows."""

import json

import numpy as np
import pytest

from bandits.errors import BanditError
from bandits.linear.context import MOST_FEATURES, SCALE
from bandits.linear.model import MOST_ROW_SUM, LinearModel, check, quantised, triangle
from bandits.linear.scorer import Scorer
from tests.unit.bandits.linear.support import fitted


def test_a_model_is_the_same_after_json():
    model = fitted([[1.0, 0.3], [1.0, 0.9]], [0.2, 0.7])
    theta, theta_bits, factor, factor_bits = json.loads(json.dumps(model))
    assert LinearModel(tuple(theta), theta_bits, tuple(factor), factor_bits) == model
    assert max(map(abs, (*model.theta, *model.factor))) < 2**53  # a reader whose numbers are doubles reads them exactly


@pytest.mark.parametrize("size", [1, 2, MOST_FEATURES])
@pytest.mark.parametrize("magnitude", [1e-9, 1.0, 1e9])
def test_the_integers_are_as_large_as_may_be_and_keep_13_digits(size, magnitude):
    rng = np.random.default_rng(size)
    theta = (magnitude * rng.normal(size=size)).tolist()
    rows = [(magnitude * rng.normal(size=row + 1)).tolist() for row in range(size)]
    model = quantised(theta, rows)
    check(model, size)
    sums = [sum(map(abs, row)) for row in triangle(model.factor, size)]
    assert MOST_ROW_SUM / 4 <= sum(map(abs, model.theta)) <= MOST_ROW_SUM
    assert MOST_ROW_SUM / 4 <= max(sums) <= MOST_ROW_SUM
    assert [number / 2.0**model.theta_bits for number in model.theta] == pytest.approx(
        theta, abs=magnitude * 1e-13 * size
    )


def test_the_largest_row_cannot_overflow():
    """With the largest context, and all numbers of one sign, the product is what Python's integers say."""
    share = MOST_ROW_SUM // MOST_FEATURES
    row = (share,) * MOST_FEATURES
    factor = tuple(share for row in range(MOST_FEATURES) for _ in range(row + 1))
    scorer = Scorer([LinearModel(row, 0, factor, 0)], MOST_FEATURES, with_spreads=True)
    found = scorer.scores((SCALE,) * MOST_FEATURES)
    assert found.means == (float(MOST_ROW_SUM),)
    exact = sum((share * count) ** 2 for count in range(1, MOST_FEATURES + 1))
    assert found.spreads == pytest.approx((exact**0.5,), rel=1e-14)


def test_a_model_that_could_overflow_or_has_another_size_is_refused():
    good = LinearModel((1, 1), 0, (1, 1, 1), 0)
    check(good, 2)
    for bad in (
        good._replace(theta=(MOST_ROW_SUM, 1)),
        good._replace(factor=(1, MOST_ROW_SUM, -1)),
        good._replace(theta=(1,)),
        good._replace(factor=(1, 1)),
    ):
        with pytest.raises(BanditError, match="Refit"):
            Scorer([good, bad], 2, with_spreads=True)
