"""Rewards that may have stopped coming: since when an arm has got hardly any.

It takes some rewards that are missing to call an arm silent (`router.rewards.silence`). As many tell that an arm is
worse, and then it is taken out of traffic for the fault of a pipeline. So what was decided since rewards became few is
not held against an arm before that is settled. Unlike silence this is no finding: at any time the newest decisions have
few rewards, and the comparison only ends a little earlier.

Cohorts that have not matured tell first. They have fewer rewards than they will have, but so have those of the other
arms, of the same age.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from router.rewards.silence import Cohort

_SHARE_OF_OTHERS = 0.2
"""An arm is quiet if it got less than this part of what its past and the other arms explain."""
_SHARE_OF_PAST = 0.1
"""Or, of cohorts that have matured, less than this part of what its past alone explains."""
_LEAST_PAST = 24


class _Count(NamedTuple):
    """The decisions of some cohorts, and of how many of them something was reported."""

    decisions: int = 0
    rewarded: int = 0

    def more(self, cohort: Cohort) -> "_Count":
        return _Count(self.decisions + cohort.decisions, self.rewarded + cohort.rewarded)


class _Since(NamedTuple):
    """An arm, seen from the start of a time bucket: what had matured before, and all that came since."""

    past: _Count
    since: _Count
    matured_since: _Count

    def expected(self, decisions: int) -> float:
        """Return how many of so many decisions are rewarded, by the past."""
        return decisions * self.past.rewarded / self.past.decisions


def quiet_since(
    cohorts: Mapping[str, Sequence[Cohort]], matured_s: float, silent: Collection[str] = ()
) -> dict[str, int]:
    """Return since when the rewards of each arm may have stopped, as the start of a time bucket.

    Arms of which rewards come are left out, and those with too short a past to tell. `cohorts` are oldest first; those
    that begin at `matured_s` or before have matured. `silent` arms say nothing of the others.
    """
    views = {arm: _views(of_arm, matured_s) for arm, of_arm in cohorts.items()}
    found: dict[str, int] = {}
    for begins_s in sorted({each for of_arm in views.values() for each in of_arm}):
        known = {arm: of_arm[begins_s] for arm, of_arm in views.items() if begins_s in of_arm}
        known = {arm: view for arm, view in known.items() if view.past.rewarded >= _LEAST_PAST}
        for arm, view in known.items():
            others = [other for name, other in known.items() if name != arm and name not in silent]
            if arm not in found and _is_quiet(view, others):
                found[arm] = begins_s
    return found


def _views(cohorts: Sequence[Cohort], matured_s: float) -> dict[int, _Since]:
    """Return what an arm looks like from the start of each of its time buckets."""
    since, matured_since, pasts = _Count(), _Count(), [_Count()]
    for cohort in cohorts:
        pasts.append(pasts[-1].more(cohort) if cohort.begins_s <= matured_s else pasts[-1])
    views = {}
    for cohort, past in zip(reversed(cohorts), reversed(pasts[:-1]), strict=True):
        since = since.more(cohort)
        if cohort.begins_s <= matured_s:
            matured_since = matured_since.more(cohort)
        views[cohort.begins_s] = _Since(past, since, matured_since)
    return views


def _is_quiet(view: _Since, others: Sequence[_Since]) -> bool:
    expected_of_others = sum(other.expected(other.since.decisions) for other in others)
    seen_of_others = sum(other.since.rewarded for other in others)
    fallen = min(1.0, seen_of_others / expected_of_others) if expected_of_others else 0.0
    return view.since.rewarded < _SHARE_OF_OTHERS * fallen * view.expected(
        view.since.decisions
    ) or view.matured_since.rewarded < _SHARE_OF_PAST * view.expected(view.matured_since.decisions)
