"""One run of a bandit over logged decisions.

Of each time bucket the bandit takes those decisions for which it draws the arm that was logged (`acceptance.py`). Their
rewards are added to sums, as the gateway adds them, and mature after the metric's window. At the start of a time bucket
the bandit learns from what has matured, by the gateway's own function, and moves its weights.

What the weights would have earned is estimated on all decisions, also those that were not taken: doubly robust, with
the mean reward of each arm so far as the model. The weights of a bucket, and the model, follow from decisions before
it, as the estimate demands (`analysis.off_policy.sums`).
"""

from collections.abc import Callable, Mapping

import numpy as np

from analysis.off_policy.acceptance import accepted
from analysis.off_policy.sums import Bools, Floats, Integers, OffPolicySums
from analysis.simulate.logged import Logged
from router.document.apply import apply
from router.document.commands import Declare
from router.document.document import Document
from router.document.learned import LearnedPolicy, with_learned
from router.draw.assignment import BUCKETS
from router.rewards.buckets import BUCKETS_KEPT, length_s
from router.rewards.sums import MILLION, NO_GROUP, RewardKey, RewardSum, RewardSums, add_to
from router.spec.metric import MetricSpec
from router.spec.spec import RouteSpec

Learn = Callable[[Document, LearnedPolicy | None, RewardSums, float], LearnedPolicy | None]
"""Returns the policy after the newest one: given the document in force, the sums by time bucket, and the time."""


class Run:
    """A run under way. Its estimate is `sums`, in shares of the metric's range; `taken` has the decisions it took."""

    def __init__(
        self, spec: RouteSpec, metric: MetricSpec, learn: Learn, began_s: float, seed: int, *, every_s: int, groups: int
    ) -> None:
        """Begin at `began_s`, and learn every `every_s` seconds. With `groups`, errors are by groups of units."""
        self.sums = OffPolicySums(groups)
        self.taken = OffPolicySums()
        self.policies = 0
        self.document = apply(None, Declare(spec, began_s))
        self._metric, self._learn_next, self._every_s, self._groups = metric, learn, every_s, groups
        self._evaluation = 0.0 if spec.bandit is None else spec.bandit.evaluation / BUCKETS
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._known: LearnedPolicy | None = None
        self._recent: dict[RewardKey, RewardSum] = {}
        self._learned_s = int(began_s)
        self._counts, self._totals = np.zeros(len(spec.arms)), np.zeros(len(spec.arms))
        self._arms = tuple(spec.arms)
        self._shares = self._weights()

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights of the arms now."""
        return dict(zip(self._arms, self._shares.tolist(), strict=True))

    def add(self, bucket_s: int, logged: Logged) -> None:
        """Go on with the decisions of one time bucket, which begins at `bucket_s`."""
        if bucket_s >= self._learned_s + self._every_s:
            self._learn(bucket_s)
        is_known = logged.arms >= 0
        chosen = np.where(is_known, self._shares[logged.arms], 0.0)
        rewards = logged.values / MILLION
        model = np.divide(self._totals, self._counts, out=np.zeros(len(self._arms)), where=self._counts > 0)
        modelled = np.where(is_known, model[logged.arms], 0.0)
        groups = None
        if self._groups:
            groups = np.where(logged.groups >= 0, logged.groups, logged.decided_us % self._groups)
        expected = np.full(len(rewards), float(self._shares @ model))
        self.sums.add(chosen / logged.propensities, rewards, modelled, expected, groups)
        self._take(bucket_s, logged, chosen, rewards)
        self._counts += np.bincount(logged.arms[is_known], minlength=len(self._arms))
        self._totals += np.bincount(logged.arms[is_known], rewards[is_known], len(self._arms))

    def _take(self, bucket_s: int, logged: Logged, chosen: Floats, rewards: Floats) -> None:
        """Take decisions for those of the bandit, and add them to what it will learn from."""
        is_taken = accepted(chosen, logged.propensities, logged.least, self._random.random(len(rewards)))
        self.taken.add(np.ones(int(is_taken.sum())), rewards[is_taken])
        if self._evaluation:
            is_taken &= self._random.random(len(rewards)) >= self._evaluation
        arms, values, is_rewarded = logged.arms[is_taken], logged.values[is_taken], logged.is_rewarded[is_taken]
        self._count(bucket_s, NO_GROUP, arms, values, is_rewarded)
        if self.document.spec.unit is not None:
            groups = logged.groups[is_taken]
            for group in set(groups.tolist()) - {NO_GROUP}:
                is_in = groups == group
                self._count(bucket_s, group, arms[is_in], values[is_in], is_rewarded[is_in])

    def _count(self, bucket_s: int, group: int, arms: Integers, values: Integers, is_rewarded: Bools) -> None:
        """Add decisions to the sums of their time bucket, as `router.rewards.sums` says."""
        for index, arm in enumerate(self._arms):
            of_arm = values[arms == index]
            if len(of_arm):
                rewarded = int(is_rewarded[arms == index].sum())
                squares = int((of_arm * of_arm // MILLION).sum())
                key = RewardKey(bucket_s, length_s(self._metric), 1, arm, "", self._metric.name, group)
                add_to(self._recent, key, RewardSum(len(of_arm), rewarded, int(of_arm.sum()), squares))

    def _learn(self, now_s: int) -> None:
        """Learn from what has matured. What is older than a store would keep is forgotten."""
        oldest_s = self._learned_s - BUCKETS_KEPT * length_s(self._metric)
        self._recent = {key: value for key, value in self._recent.items() if key.bucket_s >= oldest_s}
        self._learned_s = now_s
        policy = self._learn_next(self.document, self._known, self._recent, float(now_s))
        if policy is not None:
            self._known, self.policies = policy, self.policies + 1
            self.document = with_learned(self.document, policy)
            self._shares = self._weights()

    def _weights(self) -> Floats:
        return np.array([self.document.weights[arm] / BUCKETS for arm in self._arms])
