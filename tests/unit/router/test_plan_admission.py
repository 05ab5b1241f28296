"""A request that takes no part in the draw gets the trusted arm, without a propensity."""

import pytest

from router.draw.layers import is_held_out, is_in_layer, parse_holdout, parse_layer
from router.plan import Plan, Reason, plan
from tests.unit.router.support import compiled

UNITS = [f"user-{number}" for number in range(2000)]
LAYER = {"name": "checkout", "range": ["0%", "50%"]}
WHOLE_LAYER = {"name": "checkout", "range": ["0%", "100%"]}
TARGET = {"headers.x-country": "nl"}


@pytest.fixture
def route(declared):
    """Return a route in which the draw gives b, and the trusted arm a has no fallback."""

    def make(**keys):
        return compiled(declared(a="0%", b="100%", fallback="a", **keys))

    return make


def test_without_conditions_every_request_takes_part(route):
    assert route().admission is None
    assert plan(route(), "d", unit="u", is_targeted=False) == Plan(1, (0,), Reason.STICKY, 1.0)


def test_a_request_outside_the_target_gets_the_trusted_arm(route):
    targeted = route(target=TARGET)
    assert plan(targeted, "d", unit="u", is_targeted=False) == Plan(0, (), Reason.NOT_TARGETED, None)
    assert plan(targeted, "d", unit="u", is_targeted=True) == Plan(1, (0,), Reason.STICKY, 1.0)


def test_a_condition_counts_only_where_there_is_one(route):
    assert plan(route(holdout="0%"), "d", unit="u", is_targeted=False).reason is Reason.STICKY


def test_a_unit_outside_the_layer_gets_the_trusted_arm(route):
    layered, layer = route(layer=LAYER), parse_layer(LAYER)
    seen = {is_in_layer(layer, unit): plan(layered, "d", unit=unit) for unit in UNITS}
    assert seen == {
        True: Plan(1, (0,), Reason.STICKY, 1.0),
        False: Plan(0, (), Reason.OTHER_LAYER, None),
    }


def test_a_unit_that_is_held_out_gets_the_trusted_arm(route):
    held, holdout = route(holdout={"share": "50%", "seed": "q4"}), parse_holdout({"share": "50%", "seed": "q4"}, "")
    seen = {is_held_out(holdout, unit): plan(held, "d", unit=unit) for unit in UNITS}
    assert seen == {False: Plan(1, (0,), Reason.STICKY, 1.0), True: Plan(0, (), Reason.HELD_OUT, None)}


def test_a_request_without_a_unit_is_looked_at_by_its_decision(route):
    held = route(holdout="50%", layer=WHOLE_LAYER)
    reasons = {plan(held, key).reason for key in UNITS}
    assert reasons == {Reason.WEIGHTED, Reason.HELD_OUT}
    for key in UNITS[:100]:
        assert plan(held, key).primary == plan(held, "d", unit=key).primary


@pytest.mark.parametrize(
    ("keys", "is_targeted", "reason"),
    [
        ({"target": TARGET, "layer": LAYER, "holdout": "100%"}, False, Reason.NOT_TARGETED),
        ({"target": TARGET, "layer": LAYER, "holdout": "100%"}, True, Reason.OTHER_LAYER),
        ({"target": TARGET, "layer": WHOLE_LAYER, "holdout": "100%"}, True, Reason.HELD_OUT),
        ({"target": TARGET, "layer": WHOLE_LAYER, "holdout": "0%"}, True, Reason.STICKY),
    ],
)
def test_the_first_reason_is_said(route, keys, is_targeted, reason):
    outside = next(unit for unit in UNITS if not is_in_layer(parse_layer(LAYER), unit))
    assert plan(route(**keys), "d", unit=outside, is_targeted=is_targeted).reason is reason


def test_pinned_and_forced_come_before_admission(route):
    closed = route(target=TARGET, layer=LAYER, holdout="100%")
    assert plan(closed, "d", pinned_version="2", is_targeted=False) == Plan(1, (), Reason.PINNED, None)
    assert plan(closed, "d", forced_arm="b", is_targeted=False) == Plan(1, (), Reason.FORCED, None)


def test_the_trusted_arm_has_its_own_fallbacks(ready):
    arms = {"stable": "m:1", "canary": "m:2", "old": "m:3"}
    rollout = ready(arms=arms, fallback={"canary": "stable", "stable": "old"}, holdout="100%", **{"from": "stable"})
    assert plan(compiled(rollout), "d") == Plan(0, (2,), Reason.HELD_OUT, None)


def test_the_holdout_does_not_depend_on_the_draw(declared):
    """Of the units that are not held out, b gets its weight. With one hash for both, one arm would get them all."""
    route = compiled(declared(a="50%", b="50%", fallback="a", holdout="50%", seed="one"))
    drawn = [plan(route, "d", unit=unit) for unit in UNITS]
    taking_part = [one.primary for one in drawn if one.reason is Reason.STICKY]
    # About 1,000 take part. Half of them have a standard deviation of sqrt(1,000 * .5 * .5) = 16. The bound is five.
    assert abs(sum(taking_part) - len(taking_part) / 2) < 80
