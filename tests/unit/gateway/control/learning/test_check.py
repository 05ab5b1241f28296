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
