"""Says when a log cannot tell what a policy would earn.

The rules:

1. Every arm that the policy may choose was drawn with a propensity of at least `LEAST_PROPENSITY`. Below that, a single
   decision may weigh as a thousand.
2. The effective sample size is at least `LEAST_EFFECTIVE`, and at least `LEAST_SHARE` of the decisions.
3. The mean weight is 1 within `MOST_ERRORS` standard errors. If not, propensities are wrong, or rows are lacking that
   outcomes have chosen.
"""

from analysis.errors import AnalysisRefused
from analysis.off_policy.sums import OffPolicySums

LEAST_PROPENSITY = 0.001
LEAST_EFFECTIVE = 200
LEAST_SHARE = 0.01
MOST_ERRORS = 5.0


def check_overlap(sums: OffPolicySums) -> None:
    """Check the second and the third rule. The first is about rows, which are left out (`analysis.simulate.usable`).

    Raises:
        AnalysisRefused: if the log cannot tell.
    """
    needed = max(LEAST_EFFECTIVE, LEAST_SHARE * sums.decisions)
    effective = sums.effective_sample_size
    if effective < needed:
        raise AnalysisRefused(
            f"The log says too little of this policy: its {sums.decisions:,} decisions weigh like {effective:,.0f} of "
            f"the policy's own, and {needed:,.0f} are needed. Take a longer time with --since, or let the route "
            "explore more first: a higher floor, or a split."
        )
    off = abs(sums.mean_weight - 1)
    if off > MOST_ERRORS * sums.mean_weight_error:
        raise AnalysisRefused(
            f"The mean weight of the log's decisions is {sums.mean_weight:.3f} and should be 1, within about "
            f"{sums.mean_weight_error:.3f}: propensities in the log are wrong, or rows are lacking. `pointsman replay` "
            "says whether propensities are as they should be."
        )
