"""The response that says whether the arms get as many requests as their weights say."""

import math
from collections.abc import Mapping

from gateway.api.operators.responses import SampleRatioStatus
from router.evidence.sample_ratio import ALPHA, Draws, ratio_p_value


def sample_ratio_status(draws: Mapping[str, Draws], *, by_unit: bool) -> SampleRatioStatus | None:
    """Return the response, or None if no drawn request is known with its weights. `by_unit`: units are drawn."""
    if not draws:
        return None
    counts = {arm: each.drawn for arm, each in draws.items()}
    expected = {arm: round(each.expected, 1) for arm, each in draws.items()}
    if by_unit:
        reason = (
            "Not tested: units keep their arms, so requests of one unit share a draw. Weights are marginal "
            "probabilities, which say how many requests are expected and not how far the counts may be from that."
        )
        return SampleRatioStatus(state="UNTESTED", reason=reason, p_value=1.0, drawn=counts, expected=expected)
    p_value = ratio_p_value(draws)
    p = f"p <= {p_value:.2g}, alpha {ALPHA:g}"
    if p_value >= ALPHA:
        reason = f"The arms got as many requests as their weights say. {p}."
        return SampleRatioStatus(state="AS_EXPECTED", reason=reason, p_value=p_value, drawn=counts, expected=expected)
    arm = max(draws, key=lambda each: _deviation(draws[each]))
    reason = (
        f"Arm {arm} got {counts[arm]} of {sum(counts.values())} drawn requests; by their weights, "
        f"{expected[arm]:.1f} are expected. {p}. Requests are missing, or were not drawn as logged: trust no "
        "comparison of the arms before the cause is known."
    )
    return SampleRatioStatus(state="MISMATCH", reason=reason, p_value=p_value, drawn=counts, expected=expected)


def _deviation(draws: Draws) -> float:
    return abs(draws.drawn - draws.expected) / math.sqrt(max(draws.variance, 1e-9))
