"""Counts the rewards of a route, sorted by decision: what they add to the sums.

The rows of rewards have no context. It is that of the decision's row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import duckdb
import pyarrow.dataset as ds

from bandits.linear.packed import pack_shares
from inference_log.rebuild.contexts import ANSWERED
from inference_log.rebuild.rebuilt import DeclaredBy, Rebuilt
from inference_log.record import Reward, RewardContext
from inference_log.request_slots import from_weights
from inference_log.reward_tally import weigh
from router.rewards.events import Operation
from router.rewards.sums import NO_GROUP

_BATCH = 5000

_REWARDS = f"""
WITH of_route AS (
    FROM (FROM waiting UNION ALL BY NAME FROM stored) WHERE route = $route AND NOT late AND declared_us = $life
), contexts AS (
    SELECT decision_id, any_value(context) AS context
    FROM (SELECT decision_id, context FROM seen WHERE route = $route
        UNION ALL SELECT decision_id, context FROM decided WHERE {ANSWERED})
    WHERE decision_id IN (SELECT decision_id FROM of_route) GROUP BY decision_id
)
SELECT policy_version, arm, model_version, decision_id, decision_ts_us, latency_us, propensity, unit_group, metric,
    event_id, op, reward_ts_us, value, label, ingested_ts_us, context, weights
FROM of_route LEFT JOIN contexts USING (decision_id)
ORDER BY decision_id, ingested_ts_us, writer_id, writer_seq
"""  # noqa: S608  # built from constants


def add_rewards(
    rebuilt: Rebuilt,
    connection: duckdb.DuckDBPyConnection,
    stored: ds.Dataset,
    decided: ds.Dataset,
    route: str,
    life: int,
    declared_by: DeclaredBy,
    progress: Callable[[str], None],
) -> None:
    """Add the rewards in Parquet files, and in the table `waiting`, of one life of a route.

    Their contexts are in the rows of their decisions: in Parquet files, `decided`, and in the table `seen`.
    """
    connection.register("stored", stored)
    connection.register("decided", decided)
    rows = connection.execute(_REWARDS, {"route": route, "life": life})
    contexts: dict[tuple[int, str, str], RewardContext] = {}
    pending: list[Reward] = []
    while batch := rows.fetchmany(_BATCH):
        rebuilt.rewards_read += len(batch)
        for version, arm, model_version, *said in batch:
            context = contexts.get((version, arm, model_version))
            if context is None:
                context = RewardContext(
                    len(contexts), route, life, version, arm, model_version, *declared_by(route, version)
                )
                contexts[version, arm, model_version] = context
            if context.metrics:
                pending.append(_reward(context, *said))
        # What was reported of the last decision may go on in the next batch.
        last = pending[-1].decision_id if pending else ""
        complete = [each for each in pending if each.decision_id != last]
        _weigh(rebuilt, route, contexts.values(), complete)
        pending = pending[len(complete) :]
        progress(f"counting the rewards of {route}: {rebuilt.rewards_read:,}")
    _weigh(rebuilt, route, contexts.values(), pending)


def _weigh(rebuilt: Rebuilt, route: str, contexts: Iterable[RewardContext], rewards: Sequence[Reward]) -> None:
    weighed = weigh({each.number: each for each in contexts}, rewards, {})
    rebuilt.add(route, weighed.added.get(route, {}))
    rebuilt.add_contexts(route, weighed.contexts.get(route, {}))


def _reward(
    context: RewardContext,
    decision_id: str,
    decided_us: int,
    latency_us: int,
    propensity: float | None,
    group: int | None,
    metric: str,
    event: str,
    op: str,
    event_us: int,
    value: float | None,
    label: str | None,
    arrived_us: int,
    shares: list[float] | None,
    weights: Mapping[str, float] | None,
) -> Reward:
    said = label if value is None else value
    return Reward(
        context.number, 0, decision_id, decided_us, latency_us, propensity, NO_GROUP if group is None else group,
        metric, event, Operation(op), event_us, "" if said is None else said, arrived_us, False, "",
        None if shares is None else pack_shares(shares),
        None if context.weighing is None or weights is None else from_weights(weights, context.weighing.arms),
    )  # fmt: skip
