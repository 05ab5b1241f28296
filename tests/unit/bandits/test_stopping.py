"""The stop rule names a wrong arm at most as often as promised, however often it is asked, and finds a clear winner."""

import math

import numpy as np
import pytest
from scipy import stats

from bandits.errors import BanditError
from bandits.stopping import settled_arm
from tests.unit.bandits.support import estimates

# From tensorzero's check_stopping tests: decisions of each arm, means, variance of a reward, delta, epsilon, arm.
# Its threshold ln((1 + ln t)/delta) has no proof; ours is stricter, so its borderline case that stops is not here.
TENSORZERO = [
    ([1000] * 3, [0.3, 0.9, 0.5], 0.1, 0.05, 0.0, 1),
    ([50] * 3, [0.50, 0.52, 0.51], 0.2, 0.05, 0.0, None),
    ([100] * 2, [0.3, 0.8], 0.1, 0.05, 0.0, 1),
    ([200] * 5, [0.3, 0.9, 0.5, 0.4, 0.6], 0.1, 0.05, 0.0, 1),
    ([80] * 2, [0.55, 0.70], 0.25, 0.05, 0.0, None),
    ([1000] * 2, [0.55, 0.70], 0.25, 0.05, 0.0, 1),
    ([150] * 3, [0.45, 0.65, 0.50], 0.15, 0.01, 0.0, None),
    ([500] * 2, [0.68, 0.70], 0.1, 0.05, 0.0, None),
]


@pytest.mark.parametrize(("decisions", "means", "variance", "delta", "epsilon", "arm"), TENSORZERO)
def test_clear_cases_of_tensorzero(decisions, means, variance, delta, epsilon, arm):
    assert settled_arm(estimates(decisions, means, variance), epsilon, delta) == arm


def test_the_margin_is_the_formula():
    decisions, delta, tuned_for = [3000, 800], 0.05, 2000.0
    alpha = delta / 2  # two other arms, of which the third is far behind
    shrinkage = tuned_for / (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha)))
    width = -2 * math.log(alpha) + sum(math.log(1 + n / shrinkage) for n in decisions)
    margin = math.sqrt(0.1 * (1 / 3000 + 1 / 800) * (1 + shrinkage / 800) * width)
    for offset, arm in ((1e-9, 0), (-1e-9, None)):
        known = estimates([*decisions, 4000], [0.2 + margin + offset, 0.2, 0.0])
        assert settled_arm(known, 0.0, delta, tuned_for=tuned_for) == arm
        assert (
            settled_arm(estimates([*decisions, 4000], [0.2, 0.2, 0.0]), margin + offset, delta, tuned_for=tuned_for)
            == arm
        )


def test_one_arm_is_settled_once_it_has_its_decisions_and_few_decisions_never_are():
    assert settled_arm(estimates([100], [0.1]), 0.0, 0.05) == 0
    assert settled_arm(estimates([99], [0.1]), 0.0, 0.05) is None
    assert settled_arm(estimates([99, 10_000], [0.0, 1.0], 1e-6), 0.0, 0.05) is None


@pytest.mark.parametrize(("epsilon", "delta"), [(-0.1, 0.05), (0.0, 0.0), (0.0, 1.0), (math.nan, 0.05)])
def test_impossible_promises_are_refused(epsilon, delta):
    with pytest.raises(BanditError, match="epsilon must be 0 or more"):
        settled_arm(estimates([100, 100], [0.1, 0.2]), epsilon, delta)


def looks(rates, per_look, count, rng):
    """Return the estimates at each look of a run whose traffic follows the means: 70 % to the best so far."""
    decisions, rewards = np.zeros(len(rates)), np.zeros(len(rates))
    weights = np.full(len(rates), 1 / len(rates))
    for _ in range(count):
        new = rng.multinomial(per_look, weights)
        decisions += new
        rewards += rng.binomial(new, rates)
        means = rewards / np.maximum(decisions, 1)
        pooled = rewards.sum() / decisions.sum()
        weights = np.full(len(rates), 0.3 / len(rates))
        weights[means.argmax()] += 0.7
        yield estimates(decisions.tolist(), means.tolist(), pooled * (1 - pooled))


def named_by_a_single_look(known, epsilon, delta):
    """Return the arm that a test for one look would name."""
    best = int(np.argmax(known.means))
    limit = stats.norm.isf(delta / (len(known.means) - 1))
    gaps = [
        (known.means[best] - mean + epsilon) / math.sqrt(known.covariance[best][best] + known.covariance[arm][arm])
        for arm, mean in enumerate(known.means)
        if arm != best
    ]
    return best if min(gaps) >= limit and min(known.decisions) >= 100 else None


def test_the_error_is_at_most_delta_under_repeated_looks_where_a_single_looks_test_errs_more_often():
    rng = np.random.default_rng(20_261_130)
    rates, epsilon, delta, runs = np.array([0.1195, 0.13, 0.1195]), 0.01, 0.1, 300
    wrong = {settled_arm: 0, named_by_a_single_look: 0}
    for _ in range(runs):
        run = list(looks(rates, 500, 60, rng))
        for rule in wrong:
            first = next((arm for known in run if (arm := rule(known, epsilon, delta)) is not None), None)
            wrong[rule] += first in (0, 2)
    assert wrong[settled_arm] <= delta * runs
    assert wrong[named_by_a_single_look] > delta * runs + 3 * math.sqrt(delta * (1 - delta) * runs)


def test_a_clear_winner_is_found():
    rng = np.random.default_rng(20_261_130)
    found = []
    for _ in range(20):
        run = looks(np.array([0.10, 0.12, 0.14, 0.18]), 2000, 60, rng)
        found.append(next((arm for known in run if (arm := settled_arm(known, 0.01, 0.05)) is not None), None))
    assert found == [3] * 20
