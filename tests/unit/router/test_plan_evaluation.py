"""The slice of a bandit's requests that is drawn like the others and not learned from."""

from collections import Counter

import pytest

from inference_log.tally import DRAWN
from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare
from router.plan import Reason, plan
from router.spec.parse import parse_spec

PINS = {"a": Pin("1", "x"), "b": Pin("2", "y")}
REQUESTS = [f"{number:024x}" for number in range(20_000)]


def compiled(evaluate: str | None):
    bandit = {"policy": "thompson", "reward": "click", "from": {"a": "30%", "b": "70%"}}
    spec = parse_spec({
        "route": "shop", "arms": {"a": "m:1", "b": "m:2"}, "metrics": {"click": {"window": "1h"}},
        "bandit": bandit if evaluate is None else bandit | {"evaluate": evaluate},
    })  # fmt: skip
    return compile_route(apply(None, Declare(spec, 1.0)), PINS)


@pytest.mark.parametrize("by_unit", [True, False])
def test_the_slice_has_its_share_and_the_arms_of_the_draw(by_unit):
    whole, sliced = compiled(None), compiled("20%")
    reasons: Counter[str] = Counter()
    for key in REQUESTS:
        unit = key if by_unit else None
        before, now = plan(whole, key, unit=unit), plan(sliced, key, unit=unit)
        assert (now.primary, now.propensity) == (before.primary, before.propensity)
        reasons[now.reason] += 1
    # 20 % of 20,000 has a standard deviation of sqrt(20,000 * .2 * .8) = 57. The bound is five of them.
    assert abs(reasons[Reason.EVALUATED] - 4_000) < 285
    assert sum(reasons.values()) - reasons[Reason.EVALUATED] == reasons[Reason.STICKY if by_unit else Reason.WEIGHTED]


def test_the_slice_is_drawn_independently_of_the_arms():
    sliced = compiled("20%")
    plans = [plan(sliced, key) for key in REQUESTS]
    evaluated = [each.primary for each in plans if each.reason is Reason.EVALUATED]
    # 30 % of about 4,000 has a standard deviation of 29.
    assert abs(evaluated.count(0) - 0.3 * len(evaluated)) < 145


def test_nothing_is_counted_of_the_slice():
    assert Reason.EVALUATED.value not in DRAWN
