"""One run of a bandit over logged decisions.

Of each time bucket the bandit takes those decisions for which it draws the arm that was logged (`acceptance.py`). Their
rewards are added to sums, as the gateway adds them, and mature after the metric's window. At the start of a time bucket
the bandit learns from what has matured, by the gateway's own function, and moves its weights. With a context, each
decision has weights of its own from then on.

What the weights would have earned is estimated on all decisions, also those that were not taken: doubly robust, with
the mean reward of each arm so far as the model or, with a context, a linear model of it. The weights of a bucket, and
the model, follow from decisions before it, as the estimate demands (`analysis.off_policy.sums`).
"""

from collections.abc import Callable, Mapping

import numpy as np

from analysis.off_policy.acceptance import accepted
from analysis.off_policy.reward_models import LinearRewards, MeanRewards, RewardModel
from analysis.off_policy.sums import Floats, Integers, OffPolicySums
from analysis.simulate.logged import Logged
from analysis.simulate.trial_sums import TrialSums
from bandits.linear.context import SCALE
from bandits.linear.policy_weights import PolicyWeights
from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Document
from router.document.learned import LearnedPolicy, with_learned
from router.draw.assignment import BUCKETS
from router.rewards.sums import MILLION, ContextSums, RewardSums
from router.spec.metric import MetricSpec
from router.spec.spec import RouteSpec

Learn = Callable[[Document, LearnedPolicy | None, RewardSums, ContextSums, float], LearnedPolicy | None]
"""Returns the policy after the newest one: given the document in force, the sums by time bucket, and the time."""


class Run:
    """A run under way. Its estimate is `sums`, in shares of the metric's range; `taken` has the decisions it took."""

    def __init__(
        self,
        spec: RouteSpec,
        metric: MetricSpec,
        learn: Learn,
        began_s: float,
        seed: int,
        *,
        every_s: int,
        groups: int,
        features: int = 0,
    ) -> None:
        """Begin at `began_s`, and learn every `every_s` seconds.

        With `groups`, errors are by groups of units. `features` is the size of contexts, 0 without one.
        """
        self.sums = OffPolicySums(groups)
        self.taken = OffPolicySums()
        self.policies = 0
        self.document = apply(None, Declare(spec, began_s))
        self._learn_next, self._every_s, self._groups = learn, every_s, groups
        self._evaluation = 0.0 if spec.bandit is None else spec.bandit.evaluation / BUCKETS
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._known: LearnedPolicy | None = None
        self._by_context: PolicyWeights | None = None
        self._learned_s = int(began_s)
        self._arms = tuple(spec.arms)
        self._recent = TrialSums(self._arms, metric, by_unit=spec.unit is not None)
        self._model: RewardModel = LinearRewards(len(spec.arms), features) if features else MeanRewards(len(spec.arms))

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights of the arms now; with a context, those of an average request."""
        return {arm: self.document.weights[arm] / BUCKETS for arm in self._arms}

    def add(self, bucket_s: int, logged: Logged) -> None:
        """Go on with the decisions of one time bucket, which begins at `bucket_s`."""
        if bucket_s >= self._learned_s + self._every_s:
            self._learn(bucket_s)
        is_known, contexts = logged.arms >= 0, logged.vectors / SCALE
        rewards, shares, model = logged.values / MILLION, self._shares(logged.vectors), self._model.means(contexts)
        chosen, modelled = (
            np.where(is_known, np.take_along_axis(each, logged.arms[:, None], axis=1)[:, 0], 0.0)
            for each in (shares, model)
        )
        groups = None
        if self._groups:
            groups = np.where(logged.groups >= 0, logged.groups, logged.decided_us % self._groups)
        self.sums.add(chosen / logged.propensities, rewards, modelled, (shares * model).sum(axis=1), groups)
        self._take(bucket_s, logged, chosen, rewards)
        self._model.add(contexts[is_known], logged.arms[is_known], rewards[is_known])

    def _take(self, bucket_s: int, logged: Logged, chosen: Floats, rewards: Floats) -> None:
        """Take decisions for those of the bandit, and add them to what it will learn from."""
        is_taken = accepted(chosen, logged.propensities, logged.least, self._random.random(len(rewards)))
        self.taken.add(np.ones(int(is_taken.sum())), rewards[is_taken])
        if self._evaluation:
            is_taken &= self._random.random(len(rewards)) >= self._evaluation
        self._recent.add(bucket_s, logged, is_taken)

    def _learn(self, now_s: int) -> None:
        """Learn from what has matured."""
        self._recent.forget(self._learned_s)
        self._learned_s = now_s
        recent = self._recent
        policy = self._learn_next(self.document, self._known, recent.rewards, recent.contexts, float(now_s))
        if policy is not None:
            self._known, self.policies = policy, self.policies + 1
            self.document = with_learned(self.document, policy)
            models = policy.content if policy.content.get("models") else None
            self._by_context = None if models is None else PolicyWeights(models, len(models["average"]))

    def _shares(self, vectors: Integers) -> Floats:
        """Return the weights of the arms for each decision. Shape: (decisions, arms)."""
        if self._by_context is None:
            return np.tile(np.array(list(self.weights.values())), (len(vectors), 1))
        return np.array([self._by_context.slots(vector) for vector in vectors.tolist()]) / BUCKETS
