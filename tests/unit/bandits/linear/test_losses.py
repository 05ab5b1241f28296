"""Progressive loss on scikit-learn's data sets, beside what the same policies lose elsewhere.

Mean of 5 runs in other orders on digits, breast_cancer, wine, iris. On the two small sets a run varies by .03.

    LinUCB alpha=.25  .1423 .0453 .1584 .3467     linear Thompson v=.1  .1481 .0619 .1562 .3520
    LinUCB alpha=1    .2075 .0531 .1157 .2147     linear epsilon=.05    .2818 .0830 .2483 .3827

Means of five orders of Thompson differ by chance: one run of digits has a standard deviation of .012, of breast_cancer
.011. Our first five orders lose .165 and .065. Over 40 orders of digits it is .159 (standard error .002), over 20 of
breast_cancer .060 (.002). Thompson sampling that draws its coefficients in floats, in the same orders, loses .155
(.002), and .057 (.001) over 100. So a target of .055 on breast_cancer, which LinUCB meets, is beyond Thompson sampling:
with v from .03 to .3 it loses .057, .055 (v = .05), .057 (.1), .059 (.2) and .068 (.3).
"""

from statistics import fmean

import pytest

from loadtests.studies.linear_policies import POLICIES, load, loss
from tests.support.components import by_hand


@pytest.mark.parametrize(
    ("name", "policy", "seeds", "most"),
    [
        by_hand("breast_cancer", "LinUCB alpha=.25", 5, 0.055),
        ("breast_cancer", "Thompson v=.1", 1, 0.09),
        ("wine", "LinUCB alpha=.25", 2, 0.18),
        ("wine", "LinUCB alpha=1", 2, 0.16),
        ("wine", "Thompson v=.1", 2, 0.25),
        ("iris", "LinUCB alpha=1", 3, 0.25),
        ("iris", "Thompson v=.1", 3, 0.42),
        ("iris", "epsilon=.05", 3, 0.55),
        by_hand("digits", "LinUCB alpha=.25", 5, 0.16),
        by_hand("digits", "LinUCB alpha=1", 5, 0.25),
        by_hand("digits", "Thompson v=.1", 5, 0.18),
        by_hand("digits", "epsilon=.05", 5, 0.33),
    ],
)
def test_the_loss_is_as_low_as_elsewhere(name, policy, seeds, most):
    data = load(name)
    assert fmean(loss(data, POLICIES[policy], seed) for seed in range(seeds)) <= most


def test_refitting_after_every_twentieth_decision_costs_thompson_little():
    data = load("breast_cancer")
    at_once, late = (
        fmean(loss(data, POLICIES["Thompson v=.1"], seed, refit_every=n) for seed in (0, 1)) for n in (1, 20)
    )
    assert late <= at_once + 0.06
