"""The status of shadows: what is counted for which version and arm, and intervals that contain the true value."""

import pytest

from gateway.api.operators.shadow_status import shadow_statuses
from router.document.apply import apply
from router.document.commands import Declare
from router.evidence.sums import (
    ANSWERS,
    DELAY,
    DELAY_SQUARED,
    DIFFERENCE,
    DIFFERENCE_SQUARED,
    FAILURES,
    FLIPS,
    INSTANCES,
    PAIRS,
    REQUESTS,
    SumKey,
)
from router.spec.parse import parse_spec


def document(**more):
    arms = {"stable": "m:1", "canary": "m:2"}
    spec = {"route": "r", "arms": arms, "split": {"stable": "90%", "canary": "10%"}, "fallback": "stable", **more}
    return apply(None, Declare(parse_spec(spec)))


def sums(shadow: str, against: str = "stable", model_version: str = "3", policy_version: int = 1, **counted: int):
    names = {
        "answers": ANSWERS, "failures": FAILURES, "pairs": PAIRS, "flips": FLIPS, "instances": INSTANCES,
        "difference": DIFFERENCE, "difference_squared": DIFFERENCE_SQUARED,
        "delay": DELAY, "delay_squared": DELAY_SQUARED,
        "requests": REQUESTS,
    }  # fmt: skip
    return {
        SumKey(0, policy_version, shadow, model_version, against, names[name]): value for name, value in counted.items()
    }


def test_a_shadow_that_nothing_is_known_of_is_there():
    (shadow,) = shadow_statuses(document(shadow=[{"arm": "m:3"}]), {})
    assert (shadow.shadow, shadow.version, shadow.against, shadow.answers) == ("m:3", "", "", 0)
    assert (shadow.flip_rate, shadow.mean_difference, shadow.delay_ms) == ((0.0, 1.0), None, None)


def test_what_is_counted_is_shown_with_intervals():
    # 500 pairs of 2 instances that differ by 0.02 each; 1,000 answers, half of them 2 ms slower and half 4 ms.
    counted = sums(
        "m:3", answers=1000, failures=7, pairs=500, flips=10_500_000, instances=1000,
        difference=20_000_000, difference_squared=400_000,
        delay=3_000_000, delay_squared=500 * 2000**2 + 500 * 4000**2,
    )  # fmt: skip
    (shadow,) = shadow_statuses(document(shadow=[{"arm": "m:3"}]), counted)
    assert (shadow.answers, shadow.failures) == (1000, 7)
    assert (shadow.pairs, shadow.instances, shadow.flips) == (500, 1000, 10.5)
    low, high = shadow.flip_rate
    assert 0.005 < low < 0.021 < high < 0.06
    assert shadow.mean_difference == pytest.approx((0.02, 0.02), abs=1e-6)
    slow, slower = shadow.delay_ms
    assert 2.8 < slow < 3 < slower < 3.2


def test_each_version_and_each_arm_is_compared_by_itself():
    counted = {
        **sums("m@next", answers=5, pairs=5),
        **sums("m@next", "canary", answers=6),
        **sums("m@next", model_version="4", answers=7),
        **sums("gone", answers=8),
    }
    compared = shadow_statuses(document(shadow=[{"arm": "m@next"}, {"arm": "m:3"}]), counted)
    assert [(each.shadow, each.version, each.against, each.answers) for each in compared] == [
        ("m@next", "3", "canary", 6),
        ("m@next", "3", "stable", 5),
        ("m@next", "4", "stable", 7),
        ("m:3", "", "", 0),
    ]


def test_policy_versions_are_added_up_and_requests_of_an_arm_are_no_answers():
    counted = {
        **sums("canary", policy_version=1, answers=5), **sums("canary", policy_version=2, answers=6),
        **sums("canary", against="", requests=100),
    }  # fmt: skip
    (shadow,) = shadow_statuses(document(shadow=[{"arm": "canary"}]), counted)
    assert (shadow.shadow, shadow.answers) == ("canary", 11)


def test_a_difference_is_never_below_nothing():
    counted = sums("m:3", pairs=3, instances=3, difference=2_000_000, difference_squared=2_000_000)
    (shadow,) = shadow_statuses(document(shadow=[{"arm": "m:3"}]), counted)
    assert shadow.mean_difference[0] == 0.0


def test_the_shadow_that_a_guardrail_needs_is_shown_too():
    guarded = document(guardrails=[{"disagreement": {"above": "5%"}}])
    assert [each.shadow for each in shadow_statuses(guarded, {})] == ["stable"]
