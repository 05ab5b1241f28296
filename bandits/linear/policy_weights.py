"""The weights of requests under a contextual policy that was learned: models, policy, bounds, whole slots.

They follow from the policy and the vector of the context alone, so those of the newest contexts are remembered: a
context that comes again costs a look into a table.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from bandits.bounds.bounded import bounded
from bandits.bounds.bounds import Bounds
from bandits.linear.choose import choose_contextual
from bandits.linear.model import LinearModel
from bandits.linear.policy import ContextualPolicy
from bandits.linear.scorer import Scorer

REMEMBERED = 1024
"""So many contexts are remembered: about 1 MB with 16 features, and 2.5 MB with 64."""


class PolicyWeights:
    """The weights of a learned policy with models, for any context of `size` features.

    `content` is that of the learned policy, as the log has it: `policy`, `parameters`, `models` and `bounds`.

    Raises:
        BanditError: the policy does not exist, or its models are damaged.
    """

    def __init__(self, content: Mapping[str, Any], size: int) -> None:
        policy = choose_contextual(content["policy"], content["parameters"])
        models = [
            LinearModel(tuple(theta), bits, tuple(factor), more) for theta, bits, factor, more in content["models"]
        ]
        self.size = size
        floors, ceilings, change, burn_in = content["bounds"]
        bounds = Bounds(tuple(floors), tuple(ceilings), change, burn_in)
        scorer = Scorer(models, size, with_spreads=policy.needs_spreads)
        self._remembered = lru_cache(REMEMBERED)(partial(_slots, policy, scorer, bounds))

    def slots(self, vector: Sequence[int]) -> tuple[int, ...]:
        """Return whole slots of 10,000 for a context, in the order of the policy's arms."""
        return self._remembered(tuple(vector))


def _slots(policy: ContextualPolicy, scorer: Scorer, bounds: Bounds, vector: tuple[int, ...]) -> tuple[int, ...]:
    return bounded(policy.weights(scorer.scores(vector)), bounds)
