"""The declaration of a bandit: a policy that moves the weights of a route by the rewards of its decisions.

This package knows the names of policies and their parameters as texts and numbers. `bandits` says which there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from router.spec.context import ContextColumn

DEFAULT_FLOOR = 100
DEFAULT_BURN_IN = 100
DEFAULT_ERROR = Fraction(1, 20)


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a bandit is over: its best arm is within `within` of the best one, as a share of the metric's range.

    The probability that this is wrong is at most `error`. The arm is then promoted, by itself or, with `approve`, once
    an operator says so.
    """

    within: Fraction
    error: Fraction = DEFAULT_ERROR
    approve: bool = True


@dataclass(frozen=True, slots=True)
class BanditSpec:
    """What a bandit maximises and how.

    - `first` are the weights of a bandit before anything is learned, in slots.
    - `policy` is the name of a policy, with its `parameters`.
    - `reward` is the metric whose mean it maximises.
    - `floor` is the least that an arm gets, in slots, unless the route's limits say otherwise.
    - `burn_in` decisions of each arm must have matured before the weights move.
    - `half_life_s` is after how long a decision counts half; None if it always counts in full.
    - `largest_change` is how many slots may change hands at one update; None if all may.
    - `evaluation` slots of the requests are drawn like the others and not learned from.
    - `context` has the attributes of a request on which its weights depend; () if they do not.
    - With `acts` False the policy only observes: its weights are logged, and those of the split are in force.
    """

    policy: str
    reward: str
    first: Mapping[str, int]
    parameters: Mapping[str, float] = field(default_factory=dict)
    floor: int = DEFAULT_FLOOR
    burn_in: int = DEFAULT_BURN_IN
    half_life_s: float | None = None
    largest_change: int | None = None
    evaluation: int = 0
    stop: StopRule | None = None
    context: tuple[ContextColumn, ...] = ()
    acts: bool = True
