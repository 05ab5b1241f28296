"""The contextual policies by their names."""

from collections.abc import Mapping

from bandits.linear.policies.epsilon_greedy import LinearEpsilonGreedy
from bandits.linear.policies.linucb import LinUCB
from bandits.linear.policies.square_cb import SquareCB
from bandits.linear.policies.thompson import LinearThompson
from bandits.linear.policy import ContextualPolicy
from bandits.named import Kind, build_named

_KINDS: dict[str, Kind[ContextualPolicy]] = {
    "linear-thompson": Kind(LinearThompson, {"v": (0.0001, 1000)}),
    "linucb": Kind(LinUCB, {"alpha": (0, 1000)}),
    "square-cb": Kind(SquareCB, {"gamma": (0, 1e9)}),
    "linear-epsilon-greedy": Kind(LinearEpsilonGreedy, {"epsilon": (0, 1)}),
}
CONTEXTUAL_NAMES = tuple(_KINDS)


def choose_contextual(name: str, parameters: Mapping[str, object]) -> ContextualPolicy:
    """Return the contextual policy of that name. Parameters that are not given have their defaults.

    Raises:
        BanditError: if there is no such policy or parameter, or a value is no number in its range.
    """
    return build_named(_KINDS, name, parameters)
