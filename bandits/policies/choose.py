"""Build a policy from its name and parameters, as a route's document gives them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bandits.named import Kind, build_named
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.exp3 import Exp3
from bandits.policies.kl_ucb import KLUCB
from bandits.policies.softmax import Softmax
from bandits.policies.thompson import Thompson
from bandits.policies.thompson_beta import ThompsonBeta
from bandits.policies.top_two import TopTwo
from bandits.policies.ucb1 import UCB1
from bandits.policy import Policy

_KINDS: dict[str, Kind[Policy]] = {
    "thompson": Kind(Thompson),
    "thompson-beta": Kind(ThompsonBeta),
    "top-two": Kind(TopTwo, {"keep": (0.1, 0.9)}),
    "epsilon-greedy": Kind(EpsilonGreedy, {"epsilon": (0, 1)}),
    "softmax": Kind(Softmax, {"temperature": (0.0001, 1000)}),
    "ucb1": Kind(UCB1, {"width": (0, 1000)}),
    "kl-ucb": Kind(KLUCB),
    "exp3": Kind(Exp3, {"exploration": (0.0001, 1)}),
}
POLICY_NAMES = tuple(_KINDS)


def choose_policy(name: str, parameters: Mapping[str, object]) -> Policy:
    """Return the policy of that name. Parameters that are not given have their defaults.

    Raises:
        BanditError: if there is no such policy or parameter, or a value is no number in its range.
    """
    return build_named(_KINDS, name, parameters)


def policy_parameters(policy: Policy) -> dict[str, float]:
    """Return all parameters of a policy, defaults included. `choose_policy` takes them back."""
    fields: dict[str, Any] = asdict(policy)  # type: ignore[call-overload]  # each policy is a dataclass
    return fields
