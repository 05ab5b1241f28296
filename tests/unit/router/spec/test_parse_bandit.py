"""Bandits, and policies that observe, as they are declared."""

from fractions import Fraction

import pytest

from router.errors import Rejected
from router.spec.bandit import BanditSpec, StopRule
from router.spec.parse import parse_spec
from router.spec.unparse import unparse_spec
from router.spec.weighing import Weighing

ROUTE = {
    "route": "shop",
    "arms": {"a": "m:1", "b": "m:2", "c": "m:3"},
    "metrics": {"click": {"window": "1h"}, "verdict": {"label": True, "window": "1h"}},
}


def route(**bandit: object) -> dict:
    return ROUTE | {"bandit": {"policy": "thompson", "reward": "click", **bandit}}


def test_a_discount_is_a_half_life():
    assert parse_spec(route(discount="6h")).bandit.half_life_s == 21_600.0


def test_a_bandit_has_defaults_and_equal_first_weights():
    spec = parse_spec(route())
    assert spec.bandit == BanditSpec("thompson", "click", {"a": 3334, "b": 3333, "c": 3333})
    assert (spec.split, spec.learns, spec.bandit.floor, spec.bandit.burn_in) == (spec.bandit.first, True, 100, 100)


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        ({"c": {"ceiling": "5%"}}, {"a": 4750, "b": 4750, "c": 500}),
        ({"c": {"ceiling": "5%"}, "b": {"ceiling": "40%"}}, {"a": 5500, "b": 4000, "c": 500}),
        ({"c": {"floor": "1%", "ceiling": "50%"}}, {"a": 3334, "b": 3333, "c": 3333}),
    ],
)
def test_the_first_weights_keep_to_the_ceilings(limits, first):
    spec = parse_spec(route() | {"limits": limits})
    assert (spec.bandit.first, spec.split) == (first, first)
    assert parse_spec(unparse_spec(spec)) == spec


def test_ceilings_must_leave_room_for_all_traffic():
    with pytest.raises(Rejected, match="ceilings of the arms sum to less than 100%"):
        parse_spec(route() | {"limits": {arm: {"ceiling": "20%"} for arm in "abc"}})


def test_everything_that_a_bandit_says_is_read():
    spec = parse_spec(
        route(
            policy={"softmax": {"temperature": 0.1}},
            floor="2%",
            burn_in=500,
            max_change="10%",
            evaluate="5%",
            stop={"within": "1%", "error": "2%", "then": "promote"},
            **{"from": {"a": "50%", "b": "50%"}},
        )
    )
    assert spec.bandit == BanditSpec(
        policy="softmax",
        reward="click",
        first={"a": 5_000, "b": 5_000, "c": 0},
        parameters={"temperature": 0.1},
        floor=200,
        burn_in=500,
        largest_change=1_000,
        evaluation=500,
        stop=StopRule(Fraction(1, 100), Fraction(1, 50), approve=False),
    )


@pytest.mark.parametrize(
    "bandit",
    [
        {},
        {"policy": {"softmax": {"temperature": 0.1}}, "floor": "2%", "burn_in": 500, "discount": "6h"},
        {"max_change": "10%", "evaluate": "5%", "stop": {"within": "1%", "error": "2%", "then": "promote"}},
        {"from": {"a": "50%", "b": "50%"}, "stop": {"within": "3%"}},
    ],
)
def test_a_declaration_is_read_back_from_what_it_is_turned_into(bandit):
    spec = parse_spec(route(**bandit))
    assert parse_spec(unparse_spec(spec)) == spec


def test_a_policy_may_observe_a_split():
    spec = parse_spec(ROUTE | {"split": {"a": "80%", "b": "20%"}, "observe": {"policy": "thompson", "reward": "click"}})
    assert (spec.learns, spec.split) == (False, {"a": 8_000, "b": 2_000, "c": 0})
    assert parse_spec(unparse_spec(spec)) == spec


@pytest.mark.parametrize(
    ("bandit", "words"),
    [
        ({"reward": "revenue"}, "must be click, not 'revenue'"),
        ({"reward": "verdict"}, "must be click, not 'verdict'"),
        ({"reward": None}, "names the metric to maximise"),
        ({"policy": None}, "must be the name of a policy"),
        ({"policy": {"softmax": {"temperature": "hot"}}}, "temperature must be a share"),
        ({"policy": {"softmax": {"temperature": float("nan")}}}, "must be a number or a percentage"),
        ({"policy": {"softmax": {}, "ucb1": {}}}, "must be the name of a policy"),
        ({"floor": "0%"}, "must be above 0%, so that each arm is still tried"),
        ({"floor": "34%"}, "at most 33.3"),
        ({"burn_in": 0}, "at least 1, not 0"),
        ({"burn_in": True}, "at least 1, not True"),
        ({"discount": "6"}, "with its unit"),
        ({"max_change": "0.001%"}, "the least weight is 0.01%"),
        ({"stop": {"within": "0%"}}, "must be above 0%"),
        ({"stop": {"within": "1%", "then": "shout"}}, "must be ask or promote"),
        ({"stop": {"within": "1%"}, "discount": "6h"}, "has stop and discount"),
        ({"from": {"d": "100%"}}, "bandit.from names arm 'd', which is not among the arms"),
        ({"from": {"a": "50%"}}, "sum to 50%"),
        ({"greedy": True}, "greedy"),
    ],
)
def test_what_is_wrong_is_refused_with_a_sentence(bandit, words):
    with pytest.raises(Rejected, match=words):
        parse_spec(route(**bandit))


def test_a_bandit_needs_two_arms_a_metric_and_room_to_move():
    with pytest.raises(Rejected, match="at least two arms"):
        parse_spec(route() | {"arms": {"a": "m:1"}})
    with pytest.raises(Rejected, match="declared first"):
        parse_spec({key: value for key, value in route().items() if key != "metrics"})
    with pytest.raises(Rejected, match="sum to 101%"):
        parse_spec(route(**{"from": {"a": "99%", "b": "1%"}}) | {"limits": {"a": {"floor": "99%"}}})


@pytest.mark.parametrize("kind", ["bandit", "rollout"])
def test_nothing_observes_what_moves_its_weights_itself(kind):
    observed = {"observe": {"policy": "thompson", "reward": "click"}}
    moving = {"rollout": {"of": "a", "from": "b", "steps": ["100%"]}} if kind == "rollout" else route()
    with pytest.raises(Rejected, match="move their weights themselves"):
        parse_spec(ROUTE | moving | observed)


WATCHED = [
    {"errors": {"worse_by": "1%"}}, {"slower_than": "50ms", "worse_by": "1%"},
    {"missing_outputs": {"worse_by": "0%"}}, {"disagreement": {"above": "5%"}},
    {"reward": {"metric": "click", "worse_by": "1%"}},
]  # fmt: skip


@pytest.mark.parametrize("guardrail", WATCHED)
def test_guardrails_watch_the_arms_of_a_bandit(guardrail):
    spec = parse_spec(route() | {"guardrails": [guardrail], "fallback": "a"})
    assert spec.guarded_arms == ("b", "c")
    assert parse_spec(unparse_spec(spec)) == spec
    with pytest.raises(Rejected, match="needs an arm that is trusted"):
        parse_spec(route() | {"guardrails": [guardrail]})


def test_rewards_are_weighed_where_a_policy_moves_the_weights_and_guardrails_compare_rewards():
    guardrails = {"guardrails": [{"reward": {"metric": "click", "worse_by": "1%"}}, *WATCHED[:1]], "fallback": "b"}
    assert parse_spec(route() | guardrails).weighing == Weighing(("a", "b", "c"), "b", ("click",))
    assert parse_spec(route() | guardrails | {"guardrails": WATCHED[:1]}).weighing is None
    observed = {"split": {"a": "80%", "b": "20%"}, "observe": {"policy": "thompson", "reward": "click"}}
    assert parse_spec(ROUTE | observed | guardrails).weighing is None
