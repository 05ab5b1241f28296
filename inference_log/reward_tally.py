"""Counting rewards: what those of a segment add to the sums, and what became of each of them.

What is known of a decision's outcomes is kept as bytes, which `store.interface.Store` holds until no reward can be in
time any more. Live sums, and sums that are rebuilt from the log, both come from here.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import NamedTuple

import msgspec

from bandits.errors import BanditError
from bandits.linear.packed import unpack
from bandits.linear.sums import changed, integers_of
from inference_log.record import Reward, RewardContext
from inference_log.reward_weights import reward_shares
from router.evidence.sums import SumKey, late
from router.evidence.weighed_rewards import is_spread, scaled
from router.rewards import events
from router.rewards.buckets import bucket_s, length_s, settling_s
from router.rewards.events import MAX_EVENTS, Operation, Report
from router.rewards.outcomes import DecisionKey, OutcomeChange
from router.rewards.sums import (
    NO_GROUP,
    Outcomes,
    RewardKey,
    RewardSum,
    add_integers,
    add_to,
    difference,
    standing,
    subtract,
)
from router.spec.metric import MetricSpec

_Outcomes = dict[str, Mapping[str, Report]]


class Result(StrEnum):
    """What became of a reward."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"  # it says what is known already, or what a later report has replaced
    LATE = "late"  # it is in the log and in no sum
    REFUSED = "refused"


class Weighed(NamedTuple):
    """What rewards add: sums by route, and changed outcomes. `results` has what became of each, in order.

    `contexts` is what they add to the sums from which contextual bandits learn.
    """

    added: dict[str, dict[RewardKey, RewardSum]]
    contexts: dict[str, dict[RewardKey, tuple[int, ...]]]
    changes: list[OutcomeChange]
    results: list[tuple[Result, str]]


def decision_keys(contexts: Mapping[int, RewardContext], rewards: Iterable[Reward]) -> list[DecisionKey]:
    """Return the decisions whose outcomes `weigh` needs, each once."""
    return list(dict.fromkeys(_key(contexts[each.context], each) for each in rewards if not each.is_late))


def weigh(
    contexts: Mapping[int, RewardContext], rewards: Sequence[Reward], outcomes: Mapping[DecisionKey, bytes]
) -> Weighed:
    """Return what rewards add to what is known. `outcomes` has the bytes of each of their decisions, or none.

    Raises:
        KeyError: a reward refers to a context that is not in `contexts`.
    """
    held = {key: _decode(content) for key, content in outcomes.items()}
    added: dict[str, dict[RewardKey, RewardSum]] = {}
    with_contexts: dict[str, dict[RewardKey, tuple[int, ...]]] = {}
    kept_until_s: dict[DecisionKey, int] = {}
    results = []
    for reward in rewards:
        context = contexts[reward.context]
        if reward.is_late:
            results.append((Result.LATE, ""))
            continue
        key = _key(context, reward)
        known = held.setdefault(key, {})
        before = known.get(reward.metric, {})
        after, result = _report(before, reward)
        results.append(result)
        if after is not before:
            _add(added, with_contexts, context, reward, known, {**known, reward.metric: after})
            known[reward.metric] = after
            longest_s = max(metric.window_s for metric in context.metrics)
            kept_until_s[key] = int(reward.decided_us // 1_000_000 + longest_s + settling_s(longest_s)) + 1
    changes = [
        OutcomeChange(key, outcomes.get(key, b""), _encode(held[key]), until_s) for key, until_s in kept_until_s.items()
    ]
    return Weighed(added, with_contexts, changes, results)


def tally_late(contexts: Mapping[int, RewardContext], rewards: Iterable[Reward]) -> dict[str, dict[SumKey, int]]:
    """Return how many rewards came too late, by route. They are in sums over all time alone.

    Raises:
        KeyError: a reward refers to a context that is not in `contexts`.
    """
    added: dict[str, Counter[SumKey]] = defaultdict(Counter)
    for reward in rewards:
        if reward.is_late and reward.propensity is not None:
            context = contexts[reward.context]
            key = SumKey(0, context.policy_version, context.arm, context.model_version, "", late(reward.metric))
            added[context.route][key] += 1
    return {route: dict(of_route) for route, of_route in added.items()}


def _key(context: RewardContext, reward: Reward) -> DecisionKey:
    return DecisionKey(context.route, context.declared_us, reward.decision_id)


def _report(before: Mapping[str, Report], reward: Reward) -> tuple[Mapping[str, Report], tuple[Result, str]]:
    """Return the events of a metric with a reward, or the same object if it changes nothing, and what became of it."""
    report = Report(reward.operation, reward.event_us, reward.value)
    known = before.get(reward.event)
    merged = events.merge(known, report)
    if merged == known:
        if _contradicts(merged, report):
            return before, (
                Result.REFUSED,
                f"Event {reward.event!r} was reported with another value. To correct it, send it with op set; if it is "
                "another event, give it another id.",
            )
        return before, (Result.DUPLICATE, "")
    if known is None and len(before) >= MAX_EVENTS:
        return before, (
            Result.REFUSED,
            f"The decision has {MAX_EVENTS} events of {reward.metric} already. Add them up before you send them, or "
            "send one event with op set.",
        )
    repeats = known is not None and events.says_the_same(known, merged)  # with another time, which may decide later
    return {**before, reward.event: merged}, (Result.DUPLICATE if repeats else Result.COUNTED, "")


def _contradicts(known: Report, new: Report) -> bool:
    """Return True if two reports add one event with different values."""
    return known.operation == new.operation == Operation.ADD and known.value != new.value


def _add(
    added: dict[str, dict[RewardKey, RewardSum]],
    with_contexts: dict[str, dict[RewardKey, tuple[int, ...]]],
    context: RewardContext,
    reward: Reward,
    before: Outcomes,
    after: Outcomes,
) -> None:
    if reward.propensity is None:
        return
    of_route = added.setdefault(context.route, {})
    for name, more in difference(context.metrics, before, after, reward.latency_us).items():
        metric = next(each for each in context.metrics if each.name == name)
        key = RewardKey(
            bucket_s(reward.decided_us, metric),
            length_s(metric),
            context.policy_version,
            context.arm,
            context.model_version,
            name,
        )
        keys = (key,) if reward.group == NO_GROUP else (key, key._replace(group=reward.group))
        for each in keys:
            add_to(of_route, each, more)
        if context.weighing is not None and name in context.weighing.metrics:
            _add_weighed(of_route, context, reward, metric, keys, before, after)
        if reward.vector and name == context.maximised:
            with suppress(BanditError):  # a vector that is damaged counts nowhere
                change = integers_of(changed(unpack(reward.vector), more.total, more.squares))
                add_integers(with_contexts.setdefault(context.route, {}), key, change)


def _add_weighed(
    of_route: dict[RewardKey, RewardSum],
    context: RewardContext,
    reward: Reward,
    metric: MetricSpec,
    keys: Iterable[RewardKey],
    before: Outcomes,
    after: Outcomes,
) -> None:
    """Add what a reward changes where guardrails compare the metric. `keys` are those of the plain sums."""
    old, new = (standing(metric, context.metrics, outcomes, reward.latency_us) for outcomes in (before, after))
    for suffix, share in reward_shares(context, reward):
        more = subtract(scaled(new, share), scaled(old, share))
        for key in keys:
            if key.group != NO_GROUP or not is_spread(suffix):
                add_to(of_route, key._replace(metric=metric.name + suffix), more)


_encode_outcomes = msgspec.msgpack.Encoder().encode
_decode_outcomes = msgspec.msgpack.Decoder(dict[str, dict[str, tuple[Operation, int, float | str]]]).decode


def _encode(outcomes: _Outcomes) -> bytes:
    return _encode_outcomes(outcomes)


def _decode(content: bytes) -> _Outcomes:
    """Return the outcomes that were kept. Those that are damaged are none: the store must not hold up the count."""
    try:
        kept = _decode_outcomes(content) if content else {}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    values = [value for of_metric in kept.values() for _, _, value in of_metric.values()]
    if not all(isinstance(value, str) or math.isfinite(value) for value in values):
        return {}
    return {
        metric: {event: Report(*report) for event, report in of_metric.items()} for metric, of_metric in kept.items()
    }
