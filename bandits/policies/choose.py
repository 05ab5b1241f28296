"""Build a policy from its name and parameters, as a route's document gives them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from bandits.errors import BanditError
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.exp3 import Exp3
from bandits.policies.kl_ucb import KLUCB
from bandits.policies.softmax import Softmax
from bandits.policies.thompson import Thompson
from bandits.policies.thompson_beta import ThompsonBeta
from bandits.policies.top_two import TopTwo
from bandits.policies.ucb1 import UCB1
from bandits.policy import Policy


class _Kind(NamedTuple):
    build: Callable[..., Policy]
    ranges: Mapping[str, tuple[float, float]] = {}
    """The least and the greatest value of each parameter."""


_KINDS = {
    "thompson": _Kind(Thompson),
    "thompson-beta": _Kind(ThompsonBeta),
    "top-two": _Kind(TopTwo, {"keep": (0.1, 0.9)}),
    "epsilon-greedy": _Kind(EpsilonGreedy, {"epsilon": (0, 1)}),
    "softmax": _Kind(Softmax, {"temperature": (0.0001, 1000)}),
    "ucb1": _Kind(UCB1, {"width": (0, 1000)}),
    "kl-ucb": _Kind(KLUCB),
    "exp3": _Kind(Exp3, {"exploration": (0.0001, 1)}),
}
POLICY_NAMES = tuple(_KINDS)


def choose_policy(name: str, parameters: Mapping[str, object]) -> Policy:
    """Return the policy of that name. Parameters that are not given have their defaults.

    Raises:
        BanditError: if there is no such policy or parameter, or a value is no number in its range.
    """
    kind = _KINDS.get(name)
    if kind is None:
        raise BanditError(f"There is no policy {name!r:.60}; choose one of {', '.join(POLICY_NAMES)}.")
    for key in parameters:
        if key not in kind.ranges:
            known = f"it has {', '.join(kind.ranges)}" if kind.ranges else "it has none"
            raise BanditError(f"Policy {name} has no parameter {key!r:.60}; {known}.")
    return kind.build(**{key: _number(name, key, value, kind.ranges[key]) for key, value in parameters.items()})


def policy_parameters(policy: Policy) -> dict[str, float]:
    """Return all parameters of a policy, defaults included. `choose_policy` takes them back."""
    fields: dict[str, Any] = asdict(policy)  # type: ignore[call-overload]  # each policy is a dataclass
    return fields


def _number(policy: str, key: str, value: object, allowed: tuple[float, float]) -> float:
    least, most = allowed
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BanditError(f"{key} of policy {policy} must be a number from {least:g} to {most:g}, not {value!r:.60}.")
    return float(value)
