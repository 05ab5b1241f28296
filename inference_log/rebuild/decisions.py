"""Counts the decisions in Parquet files: what they add when they are made."""

from collections import Counter
from collections.abc import Mapping

import duckdb
import pyarrow.dataset as ds

from inference_log.rebuild.rebuilt import DeclaredOf, Rebuilt, quoted
from inference_log.record import NOT_STARTED
from inference_log.tally import CALLER_LEFT, DRAWN
from router.evidence.sums import REQUESTS, SumKey, group_of
from router.rewards.buckets import length_s
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum, add_to, exposure

_BATCH = 5000
_MOST_KINDS = 100_000

_DECISIONS = f"""
SELECT policy_version, arm, model_version, unit_hash, round(1000 * latency_ms)::BIGINT AS latency_us, outcome = 'ok',
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
    declared_of: DeclaredOf,
) -> None:
    """Add the decisions in Parquet files, of a route's life since `since_us`."""
    connection.register("stored", stored)
    rows = connection.execute(_DECISIONS, [since_us])
    requests = rebuilt.requests.setdefault(route, Counter())
    counted: Counter[tuple[int, str, str, int, int]] = Counter()
    while batch := rows.fetchmany(_BATCH):
        rebuilt.decisions_read += len(batch)
        for version, arm, model_version, unit_hash, latency_us, is_ok, is_request in batch:
            if is_request:
                requests[SumKey(0, version, arm, model_version, "", REQUESTS)] += 1
            if is_ok:
                needs_latency = any(each.needs_latency for each in declared_of(route, version).metrics)
                of = version, arm, model_version
                kept_us = latency_us if needs_latency else 0
                counted[*of, NO_GROUP, kept_us] += 1
                if unit_hash is not None:
                    counted[*of, group_of(unit_hash), kept_us] += 1
        if len(counted) > _MOST_KINDS:
            rebuilt.add(route, _begun(route, counted, declared_of))
            counted.clear()
    rebuilt.add(route, _begun(route, counted, declared_of))


def _begun(
    route: str, counted: Mapping[tuple[int, str, str, int, int], int], declared_of: DeclaredOf
) -> dict[RewardKey, RewardSum]:
    """Return what decisions add when they are made. `counted` has how many are alike."""
    sums: dict[RewardKey, RewardSum] = {}
    of_any_latency: Counter[tuple[int, str, str, int]] = Counter()

    def add(of: tuple[int, str, str, int], count: int, latency_us: int, *, needs_latency: bool) -> None:
        version, arm, model_version, group = of
        metrics = declared_of(route, version).metrics
        for metric in metrics:
            if not metric.is_label and metric.needs_latency == needs_latency:
                key = RewardKey(0, length_s(metric), version, arm, model_version, metric.name, group)
                more = RewardSum(*(count * each for each in exposure(metric, metrics, latency_us)))
                add_to(sums, key, more)

    for (version, arm, model_version, group, latency_us), count in counted.items():
        of_any_latency[version, arm, model_version, group] += count
        add((version, arm, model_version, group), count, latency_us, needs_latency=True)
    for each, count in of_any_latency.items():
        add(each, count, 0, needs_latency=False)
    return sums
