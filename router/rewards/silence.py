"""Noticing that rewards have stopped coming, for one arm or for all.

A decision without a reward gets the default, so a pipeline that has broken looks like an arm that has become bad. What
tells the two apart is how many decisions got a reward at all, compared with the arm's past and with the other arms.

Only cohorts that have matured are looked at, oldest first. The newest ones, together as many as it takes for `ENOUGH`
rewards to be expected, are held against the share of decisions that were rewarded before them. The number of rewards
has a negative binomial distribution: Poisson, with a rate that is known from the past only. If what came is less than a
part of what was expected, and is so improbable that a thousand looks would not show it by chance, the rewards are
silent. Where the other arms got fewer as well, less is expected of each, so a night is no silence of one arm; a silence
of all needs a deeper fall. A cohort that is silent never becomes part of the past.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

ENOUGH = 28.0
"""As many rewards must be expected before their absence says anything."""
_LOOKED_AT = 1.6 * ENOUGH
"""The newest cohorts have so many expected rewards: some more, because the other arms may have got fewer too."""
MOST_COHORTS = 60
"""How many of the newest cohorts are looked at together. That is about one window (`router.rewards.buckets`)."""
_MEMORY_COHORTS = 240
_MOST_PAST = 200.0
"""The past counts as so many rewards at most: rates drift, and so does what is expected."""
_LEAST_PAST = 24.0
_SHARE_OF_ONE = 0.2
_SHARE_OF_ALL = 0.1
_LOG_P = math.log(1e-7)


class Cohort(NamedTuple):
    """The decisions of one arm that were made in one time bucket, and of how many of them something was reported."""

    begins_s: int
    decisions: int
    rewarded: int


class Silence(NamedTuple):
    """Cohorts without their rewards, from one bucket's start to another's. `ends_s` is None while it lasts."""

    begins_s: int
    ends_s: int | None


@dataclass(slots=True)
class _Arm:
    """The past of an arm, and its newest cohorts. `last` is the one that became part of the past last."""

    decisions: float = 0.0
    rewarded: float = 0.0
    newest: list[Cohort] = field(default_factory=list)
    last: Cohort = field(default_factory=lambda: Cohort(0, 0, 1))
    silences: list[Silence] = field(default_factory=list)

    @property
    def is_silent(self) -> bool:
        return bool(self.silences) and self.silences[-1].ends_s is None

    def expected(self, since_s: int = 0) -> float:
        """Return how many rewards the newest cohorts should have, by the past."""
        decisions = sum(each.decisions for each in self.newest if each.begins_s >= since_s)
        return decisions * self.rewarded / max(self.decisions, 1.0)

    def seen(self, since_s: int = 0) -> int:
        return sum(each.rewarded for each in self.newest if each.begins_s >= since_s)

    def push(self, cohort: Cohort) -> None:
        """Add a cohort. Those that are not needed for a look become part of the past."""
        self.newest.append(cohort)
        rate = self.rewarded / max(self.decisions, 1.0)
        count = sum(each.decisions for each in self.newest)
        while len(self.newest) > 1 and (
            len(self.newest) > MOST_COHORTS or (count - self.newest[0].decisions) * rate >= _LOOKED_AT
        ):
            oldest = self.newest.pop(0)
            count -= oldest.decisions
            if not self._was_silent(oldest):
                self.last = oldest
                keep = 1 - 1 / _MEMORY_COHORTS
                self.decisions = keep * self.decisions + oldest.decisions
                self.rewarded = keep * self.rewarded + oldest.rewarded

    def note(self, *, is_silent: bool) -> None:
        """Begin or end a silence."""
        if is_silent and not self.is_silent:
            is_part = self.last.rewarded <= _SHARE_OF_ALL * self.last.decisions * self.rewarded / self.decisions
            self.silences.append(Silence((self.last if is_part else self.newest[0]).begins_s, None))
        elif self.is_silent and not is_silent:
            self.silences[-1] = self.silences[-1]._replace(ends_s=self.newest[-1].begins_s)

    def _was_silent(self, cohort: Cohort) -> bool:
        return any(
            each.begins_s <= cohort.begins_s and (each.ends_s is None or cohort.begins_s < each.ends_s)
            for each in self.silences
        )


def silences(cohorts: Mapping[str, Sequence[Cohort]]) -> dict[str, list[Silence]]:
    """Return the silences of each arm, oldest first, from its matured cohorts, oldest first.

    Cohorts of all arms must be of the same buckets; a bucket in which an arm made no decision may be left out.
    """
    arms = {arm: _Arm() for arm in cohorts}
    by_bucket: dict[int, dict[str, Cohort]] = {}
    for arm, of_arm in cohorts.items():
        for cohort in of_arm:
            by_bucket.setdefault(cohort.begins_s, {})[arm] = cohort
    for _, at_once in sorted(by_bucket.items()):
        for arm, cohort in at_once.items():
            arms[arm].push(cohort)
        _look(arms, list(at_once))
    return {arm: state.silences for arm, state in arms.items()}


def _look(arms: Mapping[str, _Arm], looked_at: Sequence[str]) -> None:
    known = {arm: state for arm, state in arms.items() if state.rewarded >= _LEAST_PAST}
    past = sum(state.rewarded for state in known.values())
    since_s = max((state.newest[0].begins_s for state in known.values()), default=0)
    expected = sum(state.expected(since_s) for state in known.values())
    seen = sum(state.seen(since_s) for state in known.values())
    of_all = _are_silent(seen, expected, past, _SHARE_OF_ALL)
    found = {arm: of_all or _is_silent_alone(arm, known) for arm in looked_at if arm in known}
    for arm, is_silent in found.items():
        if is_silent is not None:
            arms[arm].note(is_silent=is_silent)


def _is_silent_alone(arm: str, known: Mapping[str, _Arm]) -> bool | None:
    """Return whether an arm has fewer rewards than its past and the other arms explain, or None if that is open."""
    state = known[arm]
    others = [other for name, other in known.items() if name != arm and not other.is_silent]
    expected = sum(other.expected() for other in others)
    fallen = min(1.0, sum(other.seen() for other in others) / expected) if expected >= ENOUGH else 1.0
    share = _SHARE_OF_ONE if expected >= ENOUGH else _SHARE_OF_ALL
    return _are_silent(state.seen(), fallen * state.expected(), state.rewarded, share)


def _are_silent(seen: int, expected: float, past: float, share: float) -> bool | None:
    """Return whether so few rewards mean silence: less than a share of those expected, and hardly by chance.

    Return None if too few are expected to tell, or so few came that it may be either.
    """
    if expected < ENOUGH:
        return None
    if seen > share * expected:
        return False
    return True if _log_tail(seen, expected, min(past, _MOST_PAST)) < _LOG_P else None


def _log_tail(seen: int, mean: float, known: float) -> float:
    """Return the log of P(X <= seen) for a negative binomial X with a mean, of a rate known from `known` events."""
    log_fails, log_wins = math.log(known / (known + mean)), math.log(mean / (known + mean))
    terms = [
        math.lgamma(known + k) - math.lgamma(known) - math.lgamma(k + 1) + known * log_fails + k * log_wins
        for k in range(seen + 1)
    ]
    highest = max(terms)
    return highest + math.log(math.fsum(math.exp(term - highest) for term in terms))
