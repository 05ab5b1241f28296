"""The sums from which the bandit of a run learns: of the decisions that it took, as the gateway adds them up."""

from analysis.off_policy.sums import Bools
from analysis.simulate.logged import Logged
from bandits.linear.sums import integers_of, rewarded_exposures
from router.rewards.buckets import BUCKETS_KEPT, length_s
from router.rewards.sums import MILLION, NO_GROUP, ContextSums, RewardKey, RewardSum, RewardSums, add_integers, add_to
from router.spec.metric import MetricSpec


class TrialSums:
    """Sums of rewards by time bucket and arm, also by groups of units with `by_unit`, and those of contexts."""

    def __init__(self, arms: tuple[str, ...], metric: MetricSpec, *, by_unit: bool) -> None:
        self._arms, self._metric, self._by_unit = arms, metric, by_unit
        self._rewards: dict[RewardKey, RewardSum] = {}
        self._contexts: dict[RewardKey, tuple[int, ...]] = {}

    @property
    def rewards(self) -> RewardSums:
        """The sums of rewards."""
        return self._rewards

    @property
    def contexts(self) -> ContextSums:
        """The sums of contexts; none without a context."""
        return self._contexts

    def add(self, bucket_s: int, logged: Logged, is_taken: Bools) -> None:
        """Add those decisions of a time bucket that were taken."""
        self._count(bucket_s, NO_GROUP, logged, is_taken)
        if self._by_unit:
            for group in set(logged.groups[is_taken].tolist()) - {NO_GROUP}:
                self._count(bucket_s, group, logged, is_taken & (logged.groups == group))

    def forget(self, before_s: float) -> None:
        """Forget what is older than a store would keep, at this time."""
        oldest_s = before_s - BUCKETS_KEPT * length_s(self._metric)
        self._rewards = {key: value for key, value in self._rewards.items() if key.bucket_s >= oldest_s}
        self._contexts = {key: value for key, value in self._contexts.items() if key.bucket_s >= oldest_s}

    def _count(self, bucket_s: int, group: int, logged: Logged, is_in: Bools) -> None:
        for index, arm in enumerate(self._arms):
            of_arm = is_in & (logged.arms == index)
            values = logged.values[of_arm]
            if not len(values):
                continue
            rewarded, squares = int(logged.is_rewarded[of_arm].sum()), int((values * values // MILLION).sum())
            key = RewardKey(bucket_s, length_s(self._metric), 1, arm, "", self._metric.name, group)
            add_to(self._rewards, key, RewardSum(len(values), rewarded, int(values.sum()), squares))
            if logged.vectors.shape[1] and group == NO_GROUP:
                add_integers(self._contexts, key, integers_of(rewarded_exposures(logged.vectors[of_arm], values)))
