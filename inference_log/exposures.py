"""Counting decisions of which rewards may come: those whose arm was drawn and has answered.

A decision counts when it is made, with the default of each metric, and its rewards add the difference
(`inference_log.reward_tally`). Both take the time bucket from when the request arrived.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bandits.errors import BanditError
from bandits.linear.packed import unpack_each
from bandits.linear.sums import exposures, integers_of
from inference_log.record import Context, Record
from inference_log.reward_weights import decision_shares
from inference_log.tally import DRAWN
from router.evidence.sums import group_of
from router.evidence.weighed_rewards import is_spread, scaled
from router.rewards.buckets import bucket_s, length_s
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum, add_integers, add_to, exposure, times
from router.spec.metric import MetricSpec


def tally_exposures(
    contexts: Mapping[int, Context], records: Iterable[Record]
) -> dict[str, dict[RewardKey, RewardSum]]:
    """Return the sums of rewards that the records of one segment begin, by route.

    Raises:
        KeyError: a record refers to a context that is not in `contexts`.
    """
    added: dict[str, dict[RewardKey, RewardSum]] = defaultdict(dict)
    for number, decisions in _decisions(contexts, records).items():
        context = contexts[number]
        for metric in context.metrics:
            is_weighed = metric.name in context.weighed_metrics
            for (start_s, group, latency_us, slots), count in _counted(
                metric, decisions, by_slots=is_weighed and bool(context.maximised)
            ).items():
                key = RewardKey(
                    start_s,
                    length_s(metric),
                    context.policy_version,
                    context.arm,
                    context.model_version,
                    metric.name,
                    group,
                )
                begun = exposure(metric, context.metrics, latency_us)
                add_to(added[context.route], key, times(count, begun))
                for suffix, share in decision_shares(context, slots) if is_weighed else ():
                    if group != NO_GROUP or not is_spread(suffix):
                        of_suffix = key._replace(metric=metric.name + suffix)
                        add_to(added[context.route], of_suffix, times(count, scaled(begun, share)))
    return dict(added)


def tally_contexts(
    contexts: Mapping[int, Context], records: Iterable[Record]
) -> dict[str, dict[RewardKey, tuple[int, ...]]]:
    """Return the sums from which contextual bandits learn that the records of one segment begin, by route.

    A vector that is damaged counts nowhere.

    Raises:
        KeyError: a record refers to a context that is not in `contexts`.
    """
    added: dict[str, dict[RewardKey, tuple[int, ...]]] = defaultdict(dict)
    for number, decisions in _decisions(contexts, records).items():
        context = contexts[number]
        metric = next((each for each in context.metrics if each.name == context.maximised), None)
        if metric is None:
            continue
        vectors: dict[tuple[int, int], list[bytes]] = defaultdict(list)
        for record in decisions:
            if record.vector:
                latency_us = record.latency_us if metric.needs_latency else 0
                begun = exposure(metric, context.metrics, latency_us).total
                vectors[bucket_s(record.event_us - record.latency_us, metric), begun].append(record.vector)
        for (start_s, begun), those in vectors.items():
            key = RewardKey(
                start_s, length_s(metric), context.policy_version, context.arm, context.model_version, metric.name
            )
            for more in exposed(those, begun):
                add_integers(added[context.route], key, more)
    return dict(added)


def exposed(vectors: Sequence[bytes], begun: int) -> Iterator[tuple[int, ...]]:
    """Yield what decisions with these vectors add when they are made, with `begun` millionths of reward each.

    One that is damaged is left out, and costs no other.
    """
    try:
        yield integers_of(exposures(unpack_each(vectors), begun))
    except BanditError:
        if len(vectors) > 1:
            for each in vectors:
                yield from exposed([each], begun)


def _decisions(contexts: Mapping[int, Context], records: Iterable[Record]) -> dict[int, list[Record]]:
    """Return the records of decisions that may get rewards, by context."""
    found = defaultdict(list)
    for record in records:
        context = contexts[record.context]
        if context.metrics and context.role == "primary" and record.outcome == "ok" and record.reason in DRAWN:
            found[record.context].append(record)
    return found


def _counted(
    metric: MetricSpec, decisions: Iterable[Record], *, by_slots: bool
) -> Counter[tuple[int, int, int, bytes | None]]:
    """Return how many decisions there are by time bucket, group and, if they are needed, latency and slots."""
    counted: Counter[tuple[int, int, int, bytes | None]] = Counter()
    if metric.is_label:
        return counted
    for record in decisions:
        start_s = bucket_s(record.event_us - record.latency_us, metric)
        latency_us = record.latency_us if metric.needs_latency else 0
        slots = record.slots if by_slots else None
        counted[start_s, NO_GROUP, latency_us, slots] += 1
        if record.unit_hash is not None:
            counted[start_s, group_of(record.unit_hash), latency_us, slots] += 1
    return counted
