"""The weights of one request: from its attributes to slots, whatever a client sends."""

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.errors import BanditError
from bandits.linear.choose import CONTEXTUAL_NAMES
from bandits.linear.history import History, Seen, levelled, models
from bandits.linear.packed import unpack
from bandits.linear.policy_weights import PolicyWeights
from bandits.linear.sums import MILLION, combine, exposure
from gateway.inference.contexts import RequestWeights, Weighed, encoder_of, sealed_slots
from inference_log import request_slots
from router.compile import Pin, compile_route
from router.document.apply import apply
from router.document.commands import Declare, Shift
from router.plan import plan
from router.snapshot import Contextual
from router.spec.context import parse_context
from router.spec.parse import parse_spec

CONTEXT = {
    "headers.x-device": ["phone", "desktop"],
    "parameters.age": {"from": 0, "to": 100, "missing": 50},
    "inputs.x.1": {"from": 0, "to": 10},
}
COLUMNS = parse_context(CONTEXT, "context")
ENCODER = encoder_of(COLUMNS)
SIZE = len(ENCODER.features)
DECLARED = (4_000, 5_000, 1_000)


def content(policy: str = "linear-thompson", floors: tuple[int, ...] = (500, 500, 0)) -> dict[str, Any]:
    """Return a policy of three arms: the first is best on phones, the second elsewhere, the third has no traffic."""
    sums = []
    for arm in range(3):
        parts = [
            exposure(ENCODER.encode([device, age, 5.0]), MILLION * ((device == "phone") == (arm == 0) and age > 20))
            for device in ("phone", "desktop", "tv", None)
            for age in range(0, 100, 5)
        ]
        sums.append(combine(parts, SIZE))
    found = models(levelled(History.empty("abc", SIZE), [Seen(0, tuple(sums))], None))
    return {
        "policy": policy,
        "parameters": {},
        "bounds": [list(floors), [10_000, 10_000, 0], 10_000, 0],
        "models": [[list(m.theta), m.theta_bits, list(m.factor), m.factor_bits] for m in found],
    }


def weights(policy: str = "linear-thompson", order: tuple[int | None, ...] = (0, 1, 2)) -> RequestWeights:
    return RequestWeights(
        Contextual("click", COLUMNS, content(policy), order), DECLARED[: len(order) - order.count(None)], frozenset()
    )


def weigh(one: RequestWeights, headers=None, parameters=None, inputs=None):
    return one.weigh(headers or {}, parameters or {}, inputs or {}, None)


@pytest.mark.parametrize("policy", CONTEXTUAL_NAMES)
def test_each_request_gets_the_arm_that_is_best_for_it_and_no_arm_is_below_its_floor(policy):
    one, x = weights(policy), {"x": np.array([[1.0, 5.0]])}
    for device, best in (("phone", 0), ("desktop", 1)):
        slots = weigh(one, {b"x-device": device.encode()}, {"age": 60}, x).slots
        assert slots.index(max(slots)) == best
        assert min(slots[:2]) >= 500
        assert slots[2] == 0
        assert sum(slots) == 10_000


def test_the_vector_is_what_the_attributes_are():
    request = {b"x-device": b"phone"}, {"age": "25"}, {"x": np.array([[9.0, 2.5]])}
    assert unpack(weigh(weights(), *request).vector) == ENCODER.encode(["phone", 25, 2.5])
    assert unpack(weigh(weights()).vector) == ENCODER.encode([None, None, None])


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@given(st.binary(max_size=40), values, st.lists(st.floats(), max_size=4))
def test_no_request_makes_it_fail(device, age, numbers):
    one = weights()
    weighed = weigh(one, {b"x-device": device}, {"age": age}, {"x": np.array(numbers)})
    assert sum(weighed.slots) == 10_000
    assert weighed == weigh(one, {b"x-device": device}, {"age": age}, {"x": np.array(numbers)})


def test_an_arm_that_the_route_leaves_out_has_no_place():
    weighed = weigh(weights(order=(0, 1, None)))
    assert len(weighed.slots) == 2
    assert request_slots.unpack(weighed.logged, 2) == weighed.slots


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_the_log_gets_the_slots_of_each_request(ages):
    for age in ages:
        weighed = weigh(weights(), parameters={"age": age})
        assert request_slots.unpack(weighed.logged, 3) == weighed.slots


def test_without_models_there_is_a_vector_and_no_slots_and_the_log_gets_those_of_the_route():
    one = RequestWeights(Contextual("click", COLUMNS, None, (0, 1)), (4_000, 6_000), frozenset())
    assert weigh(one).slots is None
    assert request_slots.unpack(weigh(one).logged, 2) == (4_000, 6_000)
    assert unpack(weigh(one).vector) == ENCODER.encode([None, None, None])


def test_inputs_of_several_instances_are_no_context_of_one_request():
    def needs_one(context: dict[str, Any], *unbatched: str) -> bool:
        columns = parse_context(context, "context")
        return RequestWeights(
            Contextual("click", columns, None, (0, 1)), (4_000, 6_000), frozenset(unbatched)
        ).needs_one_instance

    assert needs_one(CONTEXT)
    assert not needs_one(CONTEXT, "x")
    assert not needs_one({"headers.x-device": ["phone"]})


@pytest.mark.parametrize("damage", [{"policy": "thompson"}, {"models": [[[1], 0, [1], 0]] * 3}])
def test_a_damaged_policy_is_refused(damage):
    with pytest.raises(BanditError):
        PolicyWeights(content() | damage, SIZE)


def test_arms_are_drawn_as_often_as_the_slots_of_the_request_say():
    spec = parse_spec({
        "route": "shop", "arms": {"a": "m:1", "b": "m:2"}, "metrics": {"click": {"window": "10m"}},
        "bandit": {"policy": "linucb", "reward": "click", "context": CONTEXT},
    })  # fmt: skip
    route = compile_route(apply(None, Declare(spec, 1.0)), {"a": Pin("1", "x"), "b": Pin("2", "y")})
    slots, number = (2_500, 7_500), 20_000
    plans = [plan(route, f"{each:024x}", slots=slots) for each in range(number)]
    assert {(each.primary, each.propensity) for each in plans} == {(0, 0.25), (1, 0.75)}
    # Five standard deviations of sqrt(20,000 * .25 * .75) = 61.
    assert abs(Counter(each.primary for each in plans)[0] - 5_000) < 306
    assert plan(route, "0" * 24, slots=(0, 10_000)).primary == 1
    unit = [plan(route, f"{each:024x}", unit="anna", slots=slots).primary for each in range(20)]
    assert len(set(unit)) == 1


def test_a_token_has_the_slots_of_the_request_in_the_order_of_the_document():
    declared = {
        "route": "shop", "arms": {"a": "m:1", "b": "m:2", "c": "m:3"}, "metrics": {"click": {"window": "10m"}},
        "bandit": {"policy": "linucb", "reward": "click", "context": CONTEXT}, "fallback": "a",
        "guardrails": [{"reward": {"metric": "click", "worse_by": "1%"}}],
    }  # fmt: skip
    pins = {arm: Pin(str(n), arm) for n, arm in enumerate("abc", 1)}

    def sealed(weighed: Weighed | None = None, served: str = "abc", **more: object):
        document = apply(None, Declare(parse_spec(declared | more), 1.0))
        document = apply(
            document, Shift({arm: Fraction(0) for arm in "abc" if arm not in served} | {"a": Fraction(3, 5)}, 2.0)
        )
        found = sealed_slots(compile_route(document, {arm: pins[arm] for arm in served}))
        return found and request_slots.unpack(found(weighed), 3)

    of_request = Weighed(b"", (1_000, 9_000, 0), request_slots.packer(3)((1_000, 9_000, 0)))
    assert sealed(of_request) == (1_000, 9_000, 0)
    of_two = Weighed(b"", (1_000, 9_000), request_slots.packer(2)((1_000, 9_000)))
    assert sealed(of_two, served="ac") == (1_000, 0, 9_000)
    assert sealed(guardrails=[{"errors": {"worse_by": "1%"}}]) is None
    shared = {"bandit": {"policy": "thompson", "reward": "click"}}
    assert sealed(served="ac", **shared) == (6_000, 0, 4_000)
