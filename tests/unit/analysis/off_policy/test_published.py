"""The published example of the Open Bandit Pipeline: digits as a bandit, with its ground truth and its relative error.

A classifier names the right digit or not. The log's policy follows a logistic regression in 80 % of the decisions and
is uniform in the others; the policy that is evaluated follows a random forest. The reward is 1 if the digit is right.
"""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from analysis.off_policy.sums import OffPolicySums

SEED, FOLLOWED = 12345, 0.8
TRUTH, ERROR_OF_IPS = 0.9634340222575517, 0.01827255896321327


@pytest.fixture(scope="module")
def digits():
    """Return the weights and rewards of the log, the predictions of the forest, and the true digits."""
    x, y = load_digits(return_X_y=True)
    x_train, x_eval, y_train, y_eval = train_test_split(x, y, test_size=0.7, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        logging = LogisticRegression(random_state=SEED).fit(x_train, y_train).predict(x_eval)
    forest = RandomForestClassifier(random_state=SEED).fit(x_train, y_train).predict(x_eval)
    rows, digits = np.arange(len(y_eval)), len(set(y.tolist()))
    chances = np.full((len(rows), digits), (1 - FOLLOWED) / digits)
    chances[rows, logging] += FOLLOWED
    uniform = np.random.RandomState(SEED).uniform(size=len(rows))
    drawn = (chances.cumsum(axis=1) > uniform[:, np.newaxis]).argmax(axis=1)
    weights = (drawn == forest) / chances[rows, drawn]
    return weights, (drawn == y_eval).astype(float), forest, y_eval


def test_ips_of_digits_is_the_published_one(digits):
    weights, rewards, forest, truth = digits
    assert float((forest == truth).mean()) == pytest.approx(TRUTH, abs=1e-15)
    sums = OffPolicySums()
    for start in range(0, len(weights), 100):
        sums.add(weights[start : start + 100], rewards[start : start + 100])
    assert abs(sums.ips - TRUTH) / TRUTH == pytest.approx(ERROR_OF_IPS, abs=1e-15)


def test_a_model_makes_the_error_of_digits_smaller(digits):
    """The model is that nine of ten digits are right. Both estimates are within three standard errors of the truth."""
    weights, rewards, _, _ = digits
    plain, robust = OffPolicySums(), OffPolicySums()
    plain.add(weights, rewards)
    robust.add(weights, rewards, modelled=0.9, expected=0.9)
    assert robust.standard_error < plain.standard_error
    for sums in (plain, robust):
        assert abs(sums.doubly_robust - TRUTH) < 3 * sums.standard_error
    assert plain.doubly_robust == pytest.approx(plain.ips, abs=1e-12)
