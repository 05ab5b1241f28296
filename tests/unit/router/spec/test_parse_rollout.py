"""Rollouts as operators declare them."""

from fractions import Fraction

import pytest

from router.errors import Rejected
from router.spec.parse import parse_spec
from router.spec.parse_rollout import MAX_SAMPLES, MAX_STEPS
from router.spec.spec import RolloutSpec, Starts, Step

ARMS = {"a": "m:1", "b": "m:2", "c": "m:3"}
OF_C = {"of": "c", "from": "a", "steps": ["5%", "50%"], "every": "10m"}


def rollout(**change: object) -> RolloutSpec:
    return parse_spec({"route": "r", "arms": ARMS, "rollout": {**OF_C, **change}}).rollout


def test_steps_have_in_common_what_is_said_once():
    steps = ["1%", {"weight": 0.05, "samples": 500}, {"weight": "50%", "every": "1h", "approve": True}, "100%"]
    assert rollout(steps=steps, samples=100) == RolloutSpec(
        of="c",
        base={"a": Fraction(1)},
        steps=(
            Step(slots=100, every_s=600.0, samples=100),
            Step(slots=500, every_s=600.0, samples=500),
            Step(slots=5000, every_s=3600.0, samples=100, approve=True),
            Step(slots=10_000, every_s=600.0, samples=100),
        ),
    )


def test_the_other_one_of_two_arms_need_not_be_named():
    raw = {"route": "r", "arms": {"a": "m:1", "b": "m:2"}, "rollout": {"of": "a", "steps": ["5%"], "every": "1m"}}
    assert parse_spec(raw).rollout.base == {"b": Fraction(1)}


def test_the_base_may_be_several_arms_in_the_order_of_the_arms():
    base = rollout(**{"from": {"b": "40%", "a": 0.6}}).base
    assert list(base.items()) == [("a", Fraction(3, 5)), ("b", Fraction(2, 5))]


@pytest.mark.parametrize(
    ("only", "step"),
    [
        ({"every": "1m"}, Step(500, every_s=60.0)),
        ({"samples": 20}, Step(500, samples=20)),
        ({"steps": [{"weight": "5%", "approve": True}]}, Step(500, approve=True)),
        ({"steps": ["100%"]}, Step(10_000)),  # the rollout is over after the first request
    ],
)
def test_a_step_ends_for_one_reason_at_least(only, step):
    raw = {"of": "c", "from": "a", "steps": ["5%"], **only}
    assert parse_spec({"route": "r", "arms": ARMS, "rollout": raw}).rollout.steps == (step,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"of": None}, r"rollout.of names None, which is not among the arms \(a, b, c\)"),
        ({"of": "z"}, "rollout.of names 'z'"),
        ({"of": ["c"]}, r"rollout.of names \['c'\]"),
        ({"from": None}, "rollout.from must say which arms have the traffic that c does not have"),
        ({"from": "z"}, r"rollout.from names 'z', which is not among the other arms \(a, b\)"),
        ({"from": "c"}, "rollout.from names 'c', which is not among the other arms"),
        ({"from": {"a": 0.5, "c": 0.5}}, "rollout.from names 'c'"),
        ({"from": {}}, r"rollout.from must be an arm, or shares of arms, not \{\}"),
        ({"from": ["a"]}, "rollout.from must be an arm, or shares of arms"),
        ({"from": {"a": "50%", "b": "49%"}}, "The shares of rollout.from sum to 99%, not 100%"),
        ({"from": {"a": "all"}}, "rollout.from.a must be a share"),
        ({"steps": None}, f"rollout.steps must list 1 to {MAX_STEPS} weights"),
        ({"steps": []}, "rollout.steps must list"),
        ({"steps": "5%"}, "rollout.steps must list"),
        ({"steps": [n / 1000 for n in range(1, MAX_STEPS + 2)]}, "rollout.steps must list"),
        ({"steps": ["5%", "5%"]}, "rollout.steps must grow, but 5% follows 5%"),
        ({"steps": ["5%", "20%", "10%"]}, "rollout.steps must grow, but 10% follows 20%"),
        ({"steps": ["half"]}, r"rollout.steps\[0\].weight must be a share"),
        ({"steps": [{"every": "1m"}]}, r"rollout.steps\[0\].weight must be a share.*not None"),
        ({"steps": ["0%"]}, r"rollout.steps\[0\] gives the arm nothing; the least is 0.01%"),
        ({"steps": ["0.004%"]}, r"rollout.steps\[0\].weight is 0.004%; the least weight is 0.01%"),
        ({"steps": ["5%", "101%"]}, r"rollout.steps\[1\].weight is 101%"),
        ({"steps": [{"weight": "5%", "until": 1}]}, r"Unknown key until in rollout.steps\[0\]; there may be weight"),
        ({"steps": [{"weight": "5%", "approve": "yes"}]}, r"steps\[0\].approve must be true or false, not 'yes'"),
        ({"steps": ["5%", {"weight": 1, "approve": True}]}, "asks for approval after 100%, where the rollout is over"),
        ({"every": None}, r"rollout.steps\[0\] would be over at once: say every"),
        ({"every": 600}, r"rollout.steps\[0\].every must be a duration"),
        ({"samples": 0}, r"rollout.steps\[0\].samples must be a whole number of requests, at least 1, not 0"),
        ({"samples": 1.5}, "samples must be a whole number"),
        ({"samples": True}, "samples must be a whole number"),
        ({"samples": MAX_SAMPLES + 1}, "samples must be a whole number"),
        ({"speed": "fast"}, "Unknown key speed in rollout; there may be of, from"),
    ],
)
def test_an_illegal_rollout_is_refused_with_a_sentence(change, words):
    with pytest.raises(Rejected, match=words):
        rollout(**change)


@pytest.mark.parametrize("raw", [[], "canary", 5])
def test_a_rollout_is_a_mapping(raw):
    with pytest.raises(Rejected, match="rollout must say of what, in which steps and how fast"):
        parse_spec({"route": "r", "arms": ARMS, "rollout": raw})


def test_a_single_arm_cannot_be_rolled_out():
    with pytest.raises(Rejected, match=r"rollout.from must say which arms"):
        parse_spec({"route": "r", "arms": {"a": "m:1"}, "rollout": {"of": "a", "steps": ["5%"], "every": "1m"}})


@pytest.mark.parametrize("starts", list(Starts))
def test_a_rollout_says_what_begins_it(starts):
    arms = {"a": "m@champion", "c": "m@challenger"}
    raw = {"route": "r", "arms": arms, "rollout": {**OF_C, "starts": str(starts)}}
    assert parse_spec(raw).rollout.starts is starts
    assert rollout().starts is Starts.BY_HAND


@pytest.mark.parametrize(
    ("starts", "words"),
    [
        ("by_alias", "rollout.starts is by_alias, so arm c must be bound to model@alias, not to m:3"),
        ("soon", "rollout.starts must be by_hand or by_alias, not 'soon'"),
        (True, "rollout.starts must be by_hand or by_alias, not True"),
    ],
)
def test_what_begins_a_rollout_must_be_possible(starts, words):
    with pytest.raises(Rejected, match=words):
        rollout(starts=starts)
