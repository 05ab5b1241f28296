"""Counts the decisions in Parquet files: what they add when they are made."""

from collections import Counter
from collections.abc import Mapping

import duckdb
import pyarrow.dataset as ds

from inference_log.rebuild.rebuilt import DeclaredBy, Rebuilt, quoted
from inference_log.record import NOT_STARTED
from inference_log.request_slots import from_weights
from inference_log.reward_weights import slot_shares
from inference_log.tally import CALLER_LEFT, DRAWN
from router.evidence.sums import REQUESTS, SumKey, group_of
from router.evidence.weighed_rewards import is_spread, scaled
from router.rewards.buckets import length_s
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum, add_to, exposure, times
from router.spec.weighing import Weighing

_BATCH = 5000
_Kind = tuple[int, str, str, int, bytes, int]
"""Version, arm, model version, group, slots and latency of decisions that are alike."""
_MOST_KINDS = 100_000

_DECISIONS = f"""
SELECT policy_version, arm, model_version, unit_hash, round(1000 * latency_ms)::BIGINT AS latency_us, outcome = 'ok',
    CASE WHEN list_contains(?, policy_version) THEN weights END,
    ends_with(inference_id, '-0-0') AND outcome <> 'rejected'
        AND error_code NOT IN ({quoted([NOT_STARTED, *CALLER_LEFT])})
FROM stored
WHERE role = 'primary' AND reason IN ({quoted(list(DRAWN))}) AND instance_index = 0
    AND event_ts_us - round(1000 * latency_ms)::BIGINT >= ?
"""  # noqa: S608  # built from constants


def add_decisions(
    rebuilt: Rebuilt,
    connection: duckdb.DuckDBPyConnection,
    stored: ds.Dataset,
    route: str,
    since_us: int,
    declared_by: DeclaredBy,
) -> None:
    """Add the decisions in Parquet files, of a route's life since `since_us`."""
    connection.register("stored", stored)
    versions = [version for (version,) in connection.execute("SELECT DISTINCT policy_version FROM stored").fetchall()]
    weighed = [version for version in versions if declared_by(route, version).weighing is not None]
    rows = connection.execute(_DECISIONS, [weighed, since_us])
    requests = rebuilt.requests.setdefault(route, Counter())
    counted: Counter[_Kind] = Counter()
    while batch := rows.fetchmany(_BATCH):
        rebuilt.decisions_read += len(batch)
        for version, arm, model_version, unit_hash, latency_us, is_ok, weights, is_request in batch:
            if is_request:
                requests[SumKey(0, version, arm, model_version, "", REQUESTS)] += 1
            if is_ok:
                declared = declared_by(route, version)
                needs_latency = any(each.needs_latency for each in declared.metrics)
                of = version, arm, model_version
                kept_us, slots = latency_us if needs_latency else 0, _slots(declared.weighing, weights)
                counted[*of, NO_GROUP, slots, kept_us] += 1
                if unit_hash is not None:
                    counted[*of, group_of(unit_hash), slots, kept_us] += 1
        if len(counted) > _MOST_KINDS:
            rebuilt.add(route, _begun(route, counted, declared_by))
            counted.clear()
    rebuilt.add(route, _begun(route, counted, declared_by))


def _slots(weighing: Weighing | None, weights: Mapping[str, float] | None) -> bytes:
    return b"" if weighing is None or weights is None else from_weights(weights, weighing.arms)


def _begun(route: str, counted: Mapping[_Kind, int], declared_by: DeclaredBy) -> dict[RewardKey, RewardSum]:
    """Return what decisions add when they are made. `counted` has how many are alike."""
    sums: dict[RewardKey, RewardSum] = {}
    of_any_latency: Counter[_Kind] = Counter()
    for of, count in counted.items():
        of_any_latency[*of[:5], 0] += count
        _add(sums, route, of, count, declared_by, needs_latency=True)
    for each, count in of_any_latency.items():
        _add(sums, route, each, count, declared_by, needs_latency=False)
    return sums


def _add(
    sums: dict[RewardKey, RewardSum],
    route: str,
    of: _Kind,
    count: int,
    declared_by: DeclaredBy,
    *,
    needs_latency: bool,
) -> None:
    version, arm, model_version, group, slots, latency_us = of
    metrics, maximised, weighing = declared_by(route, version)
    for metric in metrics:
        if metric.is_label or metric.needs_latency != needs_latency:
            continue
        key = RewardKey(0, length_s(metric), version, arm, model_version, metric.name, group)
        begun = exposure(metric, metrics, latency_us)
        add_to(sums, key, times(count, begun))
        if weighing is not None and metric.name in weighing.metrics:
            for suffix, share in slot_shares(weighing, arm, slots, by_request=bool(maximised)):
                if group != NO_GROUP or not is_spread(suffix):
                    add_to(sums, key._replace(metric=metric.name + suffix), times(count, scaled(begun, share)))
