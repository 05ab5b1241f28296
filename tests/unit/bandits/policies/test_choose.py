"""A policy is built from a name and parameters, or refused with a sentence."""

import pytest

from bandits.errors import BanditError
from bandits.policies.choose import POLICY_NAMES, choose_policy, policy_parameters
from bandits.policies.top_two import TopTwo


def test_parameters_have_defaults_and_are_given_back():
    policy = choose_policy("top-two", {})
    assert policy == TopTwo(keep=0.5)
    assert policy_parameters(policy) == {"keep": 0.5}
    assert policy_parameters(choose_policy("ucb1", {"width": 1})) == {"width": 1.0}
    assert policy_parameters(choose_policy("thompson", {})) == {}


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_what_is_given_back_builds_the_same_policy(name):
    policy = choose_policy(name, {})
    assert choose_policy(name, policy_parameters(policy)) == policy


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("thomson", {}, "There is no policy 'thomson'; choose one of thompson, thompson-beta, top-two,"),
        ("softmax", {"lambda": 2}, "Policy softmax has no parameter 'lambda'; it has temperature."),
        ("thompson", {"keep": 0.5}, "Policy thompson has no parameter 'keep'; it has none."),
        ("epsilon-greedy", {"epsilon": 1.5}, "epsilon of policy epsilon-greedy must be a number from 0 to 1, not 1.5."),
        ("epsilon-greedy", {"epsilon": "10%"}, "must be a number from 0 to 1, not '10%'."),
        ("exp3", {"exploration": 0}, "exploration of policy exp3 must be a number from 0.0001 to 1, not 0."),
        ("exp3", {"exploration": True}, "not True."),
        ("softmax", {"temperature": float("nan")}, "not nan."),
        ("top-two", {"keep": 0}, "from 0.1 to 0.9"),
    ],
)
def test_what_cannot_be_built_is_refused(name, parameters, sentence):
    with pytest.raises(BanditError) as refusal:
        choose_policy(name, parameters)
    assert sentence in str(refusal.value)
