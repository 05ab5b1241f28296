"""The next policy of a bandit, from the policy before and the sums of rewards. No I/O.

Rewards may turn out to have stopped coming when some of their time buckets have been learned from already
(`router.rewards.arrival`). So a policy keeps what it knows up to a bucket that lies two windows back, `base`, and folds
the buckets since then anew each time, without those that lack rewards. Until it is noticed that they do, the weights
move by them.
"""

from collections.abc import Mapping
from typing import Any

from bandits.bounds.bounds import Bounds
from bandits.bounds.next_slots import next_slots
from bandits.estimates.effects import estimates, fold
from bandits.estimates.effects_json import from_json, to_json
from bandits.estimates.effects_state import EffectsState
from bandits.estimates.estimates import Estimates
from bandits.policies.choose import choose_policy
from bandits.stopping import settled_arm
from bandits.sums import Period
from gateway.control.learning.learning import BASE_BUCKETS, Learning, burnt_in, is_reset, newly_heard, numbered
from gateway.control.learning.periods import matured_periods
from router.document.commands import Command, Hold, Promote
from router.document.document import LearningState
from router.document.learned import LearnedPolicy
from router.evidence.reward_counts import ReadSums
from router.evidence.sums import GROUPS
from router.rewards.buckets import length_s
from router.spec.bandit import BanditSpec
from router.spec.metric import MetricSpec


def next_policy(
    learning: Learning, known: LearnedPolicy | None, read: ReadSums, bounds: Bounds, *, now_s: float
) -> LearnedPolicy | None:
    """Return the policy after `known`, which is the newest of the route's life. None if nothing is to be learned now.

    The weights in the document are those of `known`, if it is in force. `read` has the sums of rewards by time bucket,
    also those of the groups of units if the route has a unit.

    Raises:
        BanditError: the policy or its parameters do not exist, or `known` cannot be read.
    """
    document, bandit, state, metric = learning
    arms, by_unit = tuple(document.spec.arms), document.spec.unit is not None
    base = _base_of(known, arms, GROUPS if by_unit else 0, state)
    periods = matured_periods(metric, read.recent, state.arms, after_s=base.newest_s, now_s=now_s, by_unit=by_unit)
    heard = newly_heard(learning, known, read, periods, now_s)
    if not heard:
        return None
    until_s = heard[-1].begins_s
    newest = base
    for period in heard:
        newest = fold(newest, period, bandit.half_life_s)
    seen = estimates(newest)
    ready, bounds = burnt_in(learning, known, seen.decisions, bounds)
    before = [document.weights[arm] for arm in arms]
    slots = next_slots(choose_policy(bandit.policy, bandit.parameters), seen, bounds, before)
    base = _advanced(base, heard, until_s, metric, bandit)
    content = {
        "policy": bandit.policy,
        "parameters": dict(bandit.parameters),
        "estimates": [list(seen.decisions), list(seen.means), [list(row) for row in seen.covariance]],
        "bounds": [list(bounds.floors), list(bounds.ceilings), bounds.largest_change, bounds.burn_in],
        "before": before,
        "burnt_in": ready,
        "newest_s": until_s,
        "base": to_json(base),
    }
    return numbered(learning, known, slots, content, now_s)


def stop_due(learning: Learning, policy: LearnedPolicy, now_s: float) -> Command | None:
    """Return what the stop rule of a bandit demands once its best arm is known: a promotion, or to wait for approval.

    Arms that may have no traffic do not count.

    Raises:
        BanditError: the policy holds no estimates.
    """
    stop = learning.bandit.stop
    if stop is None or not learning.bandit.acts:
        return None
    decisions, means, covariance = policy.content["estimates"]
    _, ceilings, *_ = policy.content["bounds"]
    able = [arm for arm, ceiling in enumerate(ceilings) if ceiling]
    seen = Estimates(
        tuple(decisions[arm] for arm in able),
        tuple(means[arm] for arm in able),
        tuple(tuple(covariance[arm][other] for other in able) for arm in able),
    )
    best = settled_arm(seen, float(stop.within), float(stop.error)) if len(able) > 1 else None
    if best is None:
        return None
    return Hold() if stop.approve else Promote(now_s, tuple(learning.document.spec.arms)[able[best]])


def _base_of(known: LearnedPolicy | None, arms: tuple[str, ...], groups: int, state: LearningState) -> EffectsState:
    """Return what the policy before knew up to its base, for the arms of now."""
    if known is None:
        return EffectsState.empty(arms, groups)
    content: Mapping[str, Any] = known.content
    base = from_json(content["base"])
    if len(base.groups) != groups:
        return EffectsState.empty(arms, groups)
    reset = [arm for arm in arms if arm in base.arms and is_reset(arm, state, known)]
    return base.with_arms(arms, reset)


def _advanced(
    base: EffectsState, heard: list[Period], until_s: int, metric: MetricSpec, bandit: BanditSpec
) -> EffectsState:
    """Return the base with the periods that are old enough, if the newest one begins at `until_s`."""
    for period in heard:
        if period.begins_s <= until_s - BASE_BUCKETS * length_s(metric):
            base = fold(base, period, bandit.half_life_s)
    return base
