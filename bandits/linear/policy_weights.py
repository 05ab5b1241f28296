"""The weights of requests under a contextual policy that was learned: models, policy, bounds, whole slots."""

from collections.abc import Mapping, Sequence
from typing import Any

from bandits.bounds.bounded import bounded
from bandits.bounds.bounds import Bounds
from bandits.linear.choose import choose_contextual
from bandits.linear.model import LinearModel
from bandits.linear.scorer import Scorer


class PolicyWeights:
    """The weights of a learned policy with models, for any context of `size` features.

    `content` is that of the learned policy, as the log has it: `policy`, `parameters`, `models` and `bounds`.

    Raises:
        BanditError: the policy does not exist, or its models are damaged.
    """

    def __init__(self, content: Mapping[str, Any], size: int) -> None:
        self._policy = choose_contextual(content["policy"], content["parameters"])
        models = [
            LinearModel(tuple(theta), bits, tuple(factor), more) for theta, bits, factor, more in content["models"]
        ]
        self.size = size
        self._scorer = Scorer(models, size, with_spreads=self._policy.needs_spreads)
        floors, ceilings, change, burn_in = content["bounds"]
        self._bounds = Bounds(tuple(floors), tuple(ceilings), change, burn_in)

    def slots(self, vector: Sequence[int]) -> tuple[int, ...]:
        """Return whole slots of 10,000 for a context, in the order of the policy's arms."""
        return bounded(self._policy.weights(self._scorer.scores(vector)), self._bounds)
