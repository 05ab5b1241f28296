"""When a log cannot tell, and why."""

import numpy as np
import pytest

from analysis.errors import AnalysisRefused
from analysis.off_policy.overlap import check_overlap
from analysis.off_policy.sums import OffPolicySums


def weighted(weights) -> OffPolicySums:
    sums = OffPolicySums()
    sums.add(np.array(weights, float), np.ones(len(weights)))
    return sums


def test_even_weights_are_enough_from_200_decisions_on():
    check_overlap(weighted([1.0] * 200))
    with pytest.raises(AnalysisRefused, match="199 decisions weigh like 199 of the policy's own, and 200 are needed"):
        check_overlap(weighted([1.0] * 199))


def test_a_hundredth_of_many_decisions_is_needed():
    weights = [0.0] * 59_700 + [200.0] * 300
    with pytest.raises(AnalysisRefused, match="60,000 decisions weigh like 300 of the policy's own, and 600 are"):
        check_overlap(weighted(weights))


def test_weights_that_are_too_small_on_average_are_refused():
    with pytest.raises(AnalysisRefused, match=r"is 0\.900 and should be 1"):
        check_overlap(weighted([0.9, 0.9] * 1000))
    with pytest.raises(AnalysisRefused, match="propensities in the log are wrong"):
        check_overlap(weighted([0.5, 1.1] * 5000))
