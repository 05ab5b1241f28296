"""Counts the contexts of decisions: what they add to the sums from which contextual bandits learn.

The table `seen` has those of decisions in segments, for the rewards. The log has a context as shares of 1, which are
exact.
"""

from collections import defaultdict
from collections.abc import Container

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from bandits.linear.packed import pack_shares
from inference_log.exposures import exposed
from inference_log.frozen_log import FrozenLog
from inference_log.rebuild.rebuilt import DeclaredBy, Rebuilt, quoted
from inference_log.rows.inference_rows import features_seen
from inference_log.tally import DRAWN
from router.rewards.buckets import bucket_s, length_s
from router.rewards.sums import RewardKey, exposure

_BATCH = 5000
_SEEN = {"route": "VARCHAR", "decision_id": "VARCHAR", "context": "DOUBLE[]"}
CREATE_SEEN = f"CREATE TABLE seen ({', '.join(f'{name} {kind}' for name, kind in _SEEN.items())})"
ANSWERED = "role = 'primary' AND outcome = 'ok' AND instance_index = 0 AND context IS NOT NULL"
"""What holds for a row of a decision that has a context and may get rewards, as SQL says it."""

_DECISIONS = f"""
SELECT policy_version, arm, model_version, event_ts_us, round(1000 * latency_ms)::BIGINT AS latency_us, context
FROM stored WHERE {ANSWERED} AND reason IN ({quoted(list(DRAWN))}) AND event_ts_us - latency_us >= ?
"""  # noqa: S608  # built from constants


def add_contexts(
    rebuilt: Rebuilt,
    connection: duckdb.DuckDBPyConnection,
    stored: ds.Dataset,
    route: str,
    since_us: int,
    declared_by: DeclaredBy,
) -> None:
    """Add the contexts of decisions in Parquet files, of a route's life since `since_us`."""
    connection.register("stored", stored)
    rows = connection.execute(_DECISIONS, [since_us])
    while batch := rows.fetchmany(_BATCH):
        vectors: dict[tuple[RewardKey, int], list[bytes]] = defaultdict(list)
        for version, arm, model_version, event_us, latency_us, shares in batch:
            metrics, maximised, _ = declared_by(route, version)
            for metric in metrics:
                if metric.name == maximised:
                    start_s = bucket_s(event_us - latency_us, metric)
                    key = RewardKey(start_s, length_s(metric), version, arm, model_version, metric.name)
                    begun = exposure(metric, metrics, latency_us if metric.needs_latency else 0).total
                    vectors[key, begun].append(pack_shares(shares))
        for (key, begun), those in vectors.items():
            for more in exposed(those, begun):
                rebuilt.add_contexts(route, {key: more})


def keep_contexts(connection: duckdb.DuckDBPyConnection, frozen: FrozenLog, routes: Container[str]) -> None:
    """Fill the table `seen` with the contexts of the decisions in segments.

    Segments are read to the end: a reward may have been counted before its decision.
    """
    for piece in frozen.pieces(to_end=True):
        found = [
            (context.route, record.decision_id, shares)
            for record in piece.read.records
            if record.vector
            and (context := piece.contexts[record.context]).route in routes
            and (context.role, record.outcome) == ("primary", "ok")
            and (shares := features_seen(record.vector)) is not None
        ]
        if found:
            connection.register("more", pa.table(list(map(list, zip(*found, strict=True))), names=list(_SEEN)))
            connection.execute("INSERT INTO seen FROM more")
