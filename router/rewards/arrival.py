"""What the arrival of rewards says of the decisions of each time bucket: whether they have all rewards that they get.

Time buckets in which an arm got no rewards although it should have (`router.rewards.silence`) are not known, for any
arm. Nor are those less than a window before and after, of which a part of the rewards would have come during the
silence. While an arm may be silent (`router.rewards.quiet`), what was decided later than a window before that is not
known yet.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from router.rewards.buckets import has_matured, length_s, settling_s
from router.rewards.quiet import quiet_since
from router.rewards.silence import Cohort, Silence, silences
from router.rewards.sums import NO_GROUP, RewardSums
from router.spec.metric import MetricSpec


class Arrival(NamedTuple):
    """How the rewards of a metric arrive.

    `silences` are those of each arm. `complete_until_s` has the arms whose rewards may have stopped: decisions before
    that have all of theirs.
    """

    metric: MetricSpec
    silences: Mapping[str, Sequence[Silence]]
    complete_until_s: Mapping[str, float]

    @property
    def silent(self) -> dict[str, int]:
        """The arms whose rewards have stopped, and since when: the start of a time bucket."""
        last = {arm: of_arm[-1] for arm, of_arm in self.silences.items() if of_arm}
        return {arm: silence.begins_s for arm, silence in last.items() if silence.ends_s is None}

    def is_heard(self, bucket_s: int) -> bool:
        """Return True if no reward of a decision of the time bucket can have come during a silence."""
        return not any(self._touches(silence, bucket_s) for of_arm in self.silences.values() for silence in of_arm)

    def _touches(self, silence: Silence, bucket_s: int) -> bool:
        window_s = self.metric.window_s
        return bucket_s + length_s(self.metric) > silence.begins_s - window_s and (
            silence.ends_s is None or bucket_s <= silence.ends_s + window_s
        )


def arrival(metric: MetricSpec, recent: RewardSums, now_s: float) -> Arrival:
    """Return how the rewards of a metric arrive, from its sums by time bucket, at `now_s` (seconds since the epoch)."""
    cohorts = _cohorts(metric, recent)
    found = silences(
        {arm: [each for each in of_arm if has_matured(each.begins_s, metric, now_s)] for arm, of_arm in cohorts.items()}
    )
    silent = [arm for arm, of_arm in found.items() if of_arm and of_arm[-1].ends_s is None]
    quiet = quiet_since(cohorts, now_s - length_s(metric) - metric.window_s - settling_s(metric.window_s), silent)
    return Arrival(metric, found, {arm: since_s - metric.window_s for arm, since_s in quiet.items()})


def _cohorts(metric: MetricSpec, sums: RewardSums) -> dict[str, list[Cohort]]:
    """Return the cohorts of each arm, whatever the policy and the version, oldest first."""
    added: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for key, value in sums.items():
        if key.group == NO_GROUP and key.metric == metric.name:
            cell = added[key.arm][key.bucket_s]
            cell[0] += value.decisions
            cell[1] += value.rewarded
    return {
        arm: [Cohort(begins_s, *cell) for begins_s, cell in sorted(buckets.items())] for arm, buckets in added.items()
    }
