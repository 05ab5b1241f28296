"""Which policies a route may declare."""

import pytest

from gateway.control.learning.check import check_policy
from router.errors import Rejected
from router.spec.parse import parse_spec


def spec(policy: object, **more: object):
    return parse_spec({
        "route": "shop", "arms": {"a": "m:1", "b": "m:2"}, "metrics": {"click": {"window": "1h"}},
        "bandit": {"policy": policy, "reward": "click"}, **more,
    })  # fmt: skip


@pytest.mark.parametrize("policy", ["thompson", "thompson-beta", {"softmax": {"temperature": 0.2}}])
def test_policies_that_exist_are_accepted(policy):
    check_policy(spec(policy))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("oracle", "Route shop: There is no policy 'oracle'"),
        ({"softmax": {"heat": 1}}, "has no parameter 'heat'"),
        ({"epsilon-greedy": {"epsilon": 2}}, "from 0 to 1"),
    ],
)
def test_what_no_policy_knows_is_refused(policy, words):
    with pytest.raises(Rejected, match=words):
        check_policy(spec(policy))


@pytest.mark.parametrize("policy", ["thompson-beta", "ucb1", "kl-ucb"])
def test_a_policy_that_does_not_know_units_is_refused_on_a_route_with_units(policy):
    check_policy(spec(policy))
    with pytest.raises(Rejected, match="Take thompson or top-two"):
        check_policy(spec(policy, unit="header:x-user"))


CONTEXT = {"headers.x-device": ["phone", "desktop"]}


def with_context(policy: object, context: object = CONTEXT, **more: object):
    return spec(policy, bandit={"policy": policy, "reward": "click", "context": context}, **more)


@pytest.mark.parametrize("policy", ["linucb", "square-cb", "linear-epsilon-greedy", {"linear-thompson": {"v": 0.3}}])
def test_contextual_policies_need_a_context_and_units_do_not_mind_them(policy):
    check_policy(with_context(policy))
    check_policy(with_context(policy, unit="header:x-user"))
    with pytest.raises(Rejected, match="declare its context"):
        check_policy(spec(policy))


@pytest.mark.parametrize(
    ("policy", "more", "words"),
    [
        ("thompson", {}, "does not look at the request; leave out context"),
        ("oracle", {}, "does not look at the request"),
        ({"linucb": {"v": 1}}, {}, "has no parameter 'v'"),
        ("linucb", {"context": {"headers.x": [f"w{number}" for number in range(64)]}}, "at most 64 are allowed"),
    ],
)
def test_a_policy_and_a_context_that_do_not_fit_are_refused(policy, more, words):
    with pytest.raises(Rejected, match=words):
        check_policy(with_context(policy, **more))


def test_a_token_must_have_room_for_the_weights_that_guardrails_on_rewards_need():
    columns = {f"parameters.p{number}": {"from": 0, "to": 1, "missing": 0} for number in range(60)}
    many = {"arms": {f"arm-{number:02}": f"m:{number + 1}" for number in range(64)}}
    watched = {"fallback": "arm-00", "guardrails": [{"reward": {"metric": "click", "worse_by": "1%"}}]}
    check_policy(with_context("linucb", columns, **many | watched))
    long = {"arms": {f"arm-{'x' * 60}{number:02}": f"m:{number + 1}" for number in range(64)}}
    check_policy(with_context("linucb", columns, **long))
    with pytest.raises(Rejected, match="64 arms and 60 features do not fit: they are "):
        check_policy(with_context("linucb", columns, **long | watched | {"fallback": f"arm-{'x' * 60}00"}))
