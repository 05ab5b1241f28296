"""The next policy of a contextual bandit: a linear model of each arm, by which each request gets weights of its own.

`bandits.linear.policy_weights` reads the content of such a policy. Its slots are the weights of an average request:
what is shown, and what a promotion goes by.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from bandits.bounds.bounded import bounded
from bandits.bounds.bounds import Bounds
from bandits.bounds.next_slots import lacking_arms
from bandits.linear.context import SCALE
from bandits.linear.history import History, Seen, advanced, from_json, levelled, models, to_json
from bandits.linear.policy_weights import PolicyWeights
from bandits.linear.sums import LinearSum, combine, from_integers, nothing
from bandits.slots import to_shares
from gateway.control.learning.learning import BASE_BUCKETS, Learning, burnt_in, is_reset, newly_heard, numbered
from gateway.control.learning.periods import is_learned_from
from gateway.inference.contexts import encoder_of
from router.document.document import LearningState
from router.document.learned import LearnedPolicy
from router.evidence.reward_counts import ReadSums
from router.rewards.buckets import length_s
from router.rewards.sums import ContextSums
from router.spec.metric import MetricSpec


def next_contextual(
    learning: Learning,
    known: LearnedPolicy | None,
    read: ReadSums,
    contexts: ContextSums,
    bounds: Bounds,
    *,
    now_s: float,
) -> LearnedPolicy | None:
    """Return the policy after `known`, which is the newest of the route's life. None if nothing is to be learned now.

    `read` has the sums of rewards by time bucket, by which it is known whether rewards come, and `contexts` those of
    contexts.

    Raises:
        BanditError: the policy, its parameters or its context do not exist, or `known` cannot be read.
    """
    document, bandit, state, metric = learning
    arms, size = tuple(document.spec.arms), len(encoder_of(bandit.context).features)
    history = _history_of(known, arms, size, state)
    matured = _matured(metric, contexts, state.arms, size, after_s=history.newest_s, now_s=now_s)
    heard = newly_heard(learning, known, read, matured, now_s)
    if not heard:
        return None
    until_s = heard[-1].begins_s
    totals = [combine([sums, *(seen.sums[arm] for seen in heard)], size) for arm, sums in enumerate(history.sums)]
    decisions = [each.decisions for each in totals]
    ready, bounds = burnt_in(learning, known, decisions, bounds)
    before = [document.weights[arm] for arm in arms]
    learned = levelled(history, heard, bandit.half_life_s)
    content: dict[str, Any] = {
        "policy": bandit.policy,
        "parameters": dict(bandit.parameters),
        "decisions": decisions,
        "bounds": [list(bounds.floors), list(bounds.ceilings), bounds.largest_change, bounds.burn_in],
        "before": before,
        "burnt_in": ready,
        "newest_s": until_s,
        "models": None,
    }
    if lacking_arms(decisions, bounds):
        slots = bounded(to_shares(before), bounds._replace(largest_change=0), before)
    else:
        content["average"] = list(_average(totals, size))
        content["models"] = [
            [list(each.theta), each.theta_bits, list(each.factor), each.factor_bits] for each in models(learned)
        ]
        slots = PolicyWeights(content, size).slots(content["average"])
    old_s = until_s - BASE_BUCKETS * length_s(metric)
    content["base"] = to_json(advanced(learned, old_s))
    return numbered(learning, known, slots, content, now_s)


def first_needed_s(known: LearnedPolicy | None) -> int:
    """Return the start of the first time bucket whose sums the next policy needs."""
    if known is None or "models" not in known.content:
        return 0
    newest_s: int | None = known.content["base"]["newest_s"]
    return 0 if newest_s is None else newest_s + 1


def _history_of(known: LearnedPolicy | None, arms: tuple[str, ...], size: int, state: LearningState) -> History:
    """Return what the policy before knew of old buckets, for the arms of now."""
    if known is None or "models" not in known.content:
        return History.empty(arms, size)
    history = from_json(known.content["base"])
    if history.size != size:
        return History.empty(arms, size)
    reset = [arm for arm in arms if arm in history.arms and is_reset(arm, state, known)]
    return history.with_arms(arms, reset)


def _matured(
    metric: MetricSpec,
    contexts: ContextSums,
    since: Mapping[str, int],
    size: int,
    *,
    after_s: int | None,
    now_s: float,
) -> list[Seen]:
    """Return the buckets whose decisions have matured, oldest first, of those that begin after `after_s`.

    Sums of contexts of another size are of an earlier declaration, and are left out.
    """
    cells: dict[int, dict[str, list[LinearSum]]] = defaultdict(lambda: defaultdict(list))
    integers = size * (size + 1) // 2 + size + 3
    for key, value in contexts.items():
        if is_learned_from(key, metric, since, after_s=after_s, now_s=now_s) and len(value) == integers:
            cells[key.bucket_s][key.arm].append(from_integers(value, size))
    return [
        Seen(start_s, tuple(combine(cell[arm], size) if arm in cell else nothing(size) for arm in since))
        for start_s, cell in sorted(cells.items())
    ]


def _average(totals: list[LinearSum], size: int) -> tuple[int, ...]:
    """Return the average context of the decisions."""
    whole = combine(totals, size)
    return tuple(product // (SCALE * max(whole.decisions, 1)) for product in whole.products[:size])
