"""A table: evidence in, state and sentence out."""

import math

import pytest

from router.evidence.evidence import Evidence
from router.evidence.verdict import EventCount, Verdict, VerdictState, judge, spend, worst

ALPHA = 0.01


def verdict(against, in_favour, **changed):
    given = {
        "counted": EventCount(12, 240),
        "others": EventCount(31, 4560),
        "beside": "stable",
        "allowed": 0.01,
        "what": "failed",
    } | changed
    return judge(arm="canary", evidence=Evidence(against, in_favour), alpha=ALPHA, **given)


@pytest.mark.parametrize(
    ("against", "in_favour", "state"),
    [
        (4.7, -3.0, VerdictState.UNHEALTHY),  # ln(1/0.01) = 4.605
        (4.5, -3.0, VerdictState.UNDECIDED),
        (-3.0, 4.7, VerdictState.HEALTHY),
        (-3.0, 4.5, VerdictState.UNDECIDED),
        (4.7, 4.7, VerdictState.UNHEALTHY),  # the arm was good for long and is bad now
        (0.0, 0.0, VerdictState.UNDECIDED),
        (math.inf, -math.inf, VerdictState.UNHEALTHY),
    ],
)
def test_the_level_decides(against, in_favour, state):
    assert verdict(against, in_favour).state is state


def test_the_reason_has_the_numbers():
    assert verdict(8.1, -5.0).reason == (
        "12 of 240 (5%) requests of canary failed, against 31 of 4560 (0.68%) of stable; allowed is 1% more. "
        "p <= 0.0003, alpha 0.01."
    )


def test_a_healthy_arm_has_the_p_value_of_being_worse_in_its_reason():
    assert verdict(-2.0, 6.0).reason.endswith("That it is worse has p <= 0.0025, alpha 0.01.")


def test_without_a_margin_the_reason_says_so():
    assert "; allowed is no more. " in verdict(0.0, 0.0, allowed=0.0).reason


def test_a_rate_that_is_not_compared_has_its_bound_in_the_reason():
    reason = verdict(0.0, 0.0, others=None, allowed=0.05, what="differed from stable's", things="answers").reason
    assert reason == "12 of 240 (5%) answers of canary differed from stable's, allowed is 5%. p <= 1, alpha 0.01."


@pytest.mark.parametrize("evidence", [Evidence(0, 0), Evidence(18.0, -2.0)])
def test_no_data_is_undecided_and_says_so(evidence):
    nothing = judge(
        what="failed",
        arm="canary",
        evidence=evidence,
        alpha=ALPHA,
        counted=EventCount(0, 0),
        others=EventCount(2, 500),
        allowed=0.01,
    )
    assert nothing.state is VerdictState.UNDECIDED
    assert nothing.reason == "No requests of canary have been counted yet."


@pytest.mark.parametrize(("against", "p_value"), [(math.log(1000), 0.001), (0.0, 1.0), (-5.0, 1.0), (math.inf, 0.0)])
def test_the_p_value_is_a_probability(against, p_value):
    assert verdict(against, 0.0).p_value == pytest.approx(p_value)


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ([], VerdictState.UNDECIDED),
        ([VerdictState.HEALTHY, VerdictState.HEALTHY], VerdictState.HEALTHY),
        ([VerdictState.HEALTHY, VerdictState.UNDECIDED], VerdictState.UNDECIDED),
        ([VerdictState.HEALTHY, VerdictState.UNDECIDED, VerdictState.UNHEALTHY], VerdictState.UNHEALTHY),
    ],
)
def test_the_worst_of_several_verdicts(states, state):
    assert worst(Verdict(one, "", 1.0) for one in states) is state


def test_the_level_is_shared_equally():
    assert spend(0.01, 3) * 3 == pytest.approx(0.01)
    assert spend(0.01, 0) == 0.01
