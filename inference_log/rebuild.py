"""Sums that are rebuilt from the log: those of rewards, and how many requests were drawn, of all time.

Decisions are counted from their rows, a file at a time. Rewards are sorted by decision, and go through
`inference_log.reward_tally.weigh` in the order in which they arrived, some thousands at a time. So the memory does not
grow with the log; what must be sorted and does not fit is in a temporary folder.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from inference_log.exposures import tally_exposures
from inference_log.frozen_log import FrozenLog
from inference_log.record import NOT_STARTED, Record, Reward, RewardContext
from inference_log.reward_tally import weigh
from inference_log.rows.reward_rows import reward_table
from inference_log.schema import INFERENCES, REWARDS
from inference_log.tally import CALLER_LEFT, DRAWN, tally
from router.evidence.sums import ALL_UNITS, REQUESTS, SumKey, group_of
from router.rewards.buckets import length_s
from router.rewards.events import Operation
from router.rewards.sums import NO_GROUP, RewardKey, RewardSum, RewardSums, combine, exposure
from router.spec.metric import MetricSpec

_MEMORY = "400MB"
_BATCH = 5000
_MOST_KINDS = 100_000


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join("'" + each.replace("'", "''") + "'" for each in sorted(texts))


_DECISIONS = f"""
SELECT policy_version, arm, model_version, unit_hash, round(1000 * latency_ms)::BIGINT AS latency_us, outcome = 'ok',
    ends_with(inference_id, '-0-0') AND outcome <> 'rejected'
        AND error_code NOT IN ({_quoted([NOT_STARTED, *CALLER_LEFT])})
FROM read_parquet([{{files}}], union_by_name = true)
WHERE role = 'primary' AND reason IN ({_quoted(list(DRAWN))}) AND instance_index = 0
    AND event_ts_us - round(1000 * latency_ms)::BIGINT >= ?
"""  # noqa: S608  # built from constants, and from names of files
_FILES_OF_REWARDS = "SELECT * FROM read_parquet([{files}], union_by_name = true) WHERE NOT late AND declared_us = ?"
_WAITING_REWARDS = "SELECT * EXCLUDE (route) FROM waiting WHERE route = ? AND NOT late AND declared_us = ?"
_REWARDS = """
SELECT policy_version, arm, model_version, decision_id, decision_ts_us, latency_us, propensity, unit_group, metric,
    event_id, op, reward_ts_us, value, label, ingested_ts_us
FROM ({sources}) ORDER BY decision_id, ingested_ts_us, writer_id, writer_seq
"""

MetricsOf = Callable[[str, int], tuple[MetricSpec, ...]]
"""Returns the metrics that a version of a route's document declares."""


@dataclass
class Rebuilt:
    """The sums of each route, and how many drawn decisions and rewards were read."""

    rewards: dict[str, dict[RewardKey, RewardSum]] = field(default_factory=dict)
    requests: dict[str, Counter[SumKey]] = field(default_factory=dict)
    decisions_read: int = 0
    rewards_read: int = 0

    def add(self, route: str, sums: RewardSums) -> None:
        """Add sums of rewards of a route."""
        of_route = self.rewards.setdefault(route, {})
        for key, more in sums.items():
            total = key._replace(bucket_s=0)
            of_route[total] = combine(of_route[total], more) if total in of_route else more


def rebuild(
    frozen: FrozenLog, lives: Mapping[str, int], metrics_of: MetricsOf, progress: Callable[[str], None]
) -> Rebuilt:
    """Return the sums of each route of `lives`, over what was decided in this life (`Document.declared_us`)."""
    rebuilt = Rebuilt()
    with _connection() as connection:
        progress("reading what is not Parquet yet")
        _add_segments(rebuilt, connection, frozen, lives)
        for (route, day), files in frozen.partitions(INFERENCES).items():
            if route in lives:
                progress(f"counting the decisions of {route}, {day}")
                for path in files:
                    _add_decisions(rebuilt, connection, path, route, lives[route], metrics_of)
        files_of: dict[str, list[Path]] = {route: [] for route in lives}
        for (route, _), files in frozen.partitions(REWARDS).items():
            files_of.get(route, []).extend(files)
        for route, files in files_of.items():
            progress(f"counting the rewards of {route}")
            _add_rewards(rebuilt, connection, files, route, lives[route], metrics_of, progress)
    return rebuilt


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory(prefix="pointsman-") as folder, duckdb.connect(":memory:") as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET threads = 2")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET temp_directory = ?", [folder])
        empty = REWARDS.columns.append(pa.field("route", pa.string())).empty_table()
        connection.register("empty", empty)
        connection.execute("CREATE TABLE waiting AS FROM empty")
        yield connection


def _add_segments(
    rebuilt: Rebuilt, connection: duckdb.DuckDBPyConnection, frozen: FrozenLog, lives: Mapping[str, int]
) -> None:
    for piece in frozen.pieces():
        records = [each for each in piece.read.records if _is_alive(lives, piece.contexts[each.context].route, each)]
        for route, sums in tally_exposures(piece.contexts, records).items():
            rebuilt.add(route, sums)
        for route, counted in tally(piece.contexts, records).items():
            of_route = rebuilt.requests.setdefault(route, Counter())
            for key, count in counted.items():
                if key.name == REQUESTS and key.group == ALL_UNITS:
                    of_route[key._replace(bucket_s=0)] += count
        rebuilt.decisions_read += sum(
            each.reason in DRAWN and piece.contexts[each.context].role == "primary" for each in records
        )
        for number, context in piece.reward_contexts.items():
            rewards = [each for each in piece.read.rewards if each.context == number]
            if rewards:
                table = reward_table(context, rewards, piece.writer_id)
                route_column = pa.repeat(pa.scalar(context.route), len(rewards))
                connection.register("more", table.append_column("route", route_column))
                connection.execute("INSERT INTO waiting BY NAME FROM more")


def _is_alive(lives: Mapping[str, int], route: str, record: Record) -> bool:
    return route in lives and record.event_us - record.latency_us >= lives[route]


def _add_decisions(
    rebuilt: Rebuilt,
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    route: str,
    since_us: int,
    metrics_of: MetricsOf,
) -> None:
    rows = connection.execute(_DECISIONS.format(files=_quoted([str(path)])), [since_us])
    requests = rebuilt.requests.setdefault(route, Counter())
    counted: Counter[tuple[int, str, str, int, int]] = Counter()
    while batch := rows.fetchmany(_BATCH):
        rebuilt.decisions_read += len(batch)
        for version, arm, model_version, unit_hash, latency_us, is_ok, is_request in batch:
            if is_request:
                requests[SumKey(0, version, arm, model_version, "", REQUESTS)] += 1
            if is_ok:
                needs_latency = any(each.needs_latency for each in metrics_of(route, version))
                of = version, arm, model_version
                kept_us = latency_us if needs_latency else 0
                counted[*of, NO_GROUP, kept_us] += 1
                if unit_hash is not None:
                    counted[*of, group_of(unit_hash), kept_us] += 1
        if len(counted) > _MOST_KINDS:
            rebuilt.add(route, _begun(route, counted, metrics_of))
            counted.clear()
    rebuilt.add(route, _begun(route, counted, metrics_of))


def _begun(
    route: str, counted: Mapping[tuple[int, str, str, int, int], int], metrics_of: MetricsOf
) -> dict[RewardKey, RewardSum]:
    """Return what decisions add when they are made. `counted` has how many are alike."""
    sums: dict[RewardKey, RewardSum] = {}
    for (version, arm, model_version, group, latency_us), count in counted.items():
        metrics = metrics_of(route, version)
        for metric in metrics:
            if not metric.is_label:
                key = RewardKey(0, length_s(metric), version, arm, model_version, metric.name, group)
                more = RewardSum(*(count * each for each in exposure(metric, metrics, latency_us)))
                sums[key] = combine(sums[key], more) if key in sums else more
    return sums


def _add_rewards(
    rebuilt: Rebuilt,
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    route: str,
    life: int,
    metrics_of: MetricsOf,
    progress: Callable[[str], None],
) -> None:
    sources, values = [_WAITING_REWARDS], [route, life]
    if files:
        sources.append(_FILES_OF_REWARDS.format(files=_quoted([str(path) for path in files])))
        values.append(life)
    rows = connection.execute(_REWARDS.format(sources=" UNION ALL BY NAME ".join(sources)), values)
    contexts: dict[tuple[int, str, str], RewardContext] = {}
    pending: list[Reward] = []
    while batch := rows.fetchmany(_BATCH):
        rebuilt.rewards_read += len(batch)
        for version, arm, model_version, *said in batch:
            context = contexts.get((version, arm, model_version))
            if context is None:
                metrics = metrics_of(route, version)
                context = RewardContext(len(contexts), route, life, version, arm, model_version, metrics)
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
    added = weigh({each.number: each for each in contexts}, rewards, {}).added
    rebuilt.add(route, added.get(route, {}))


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
) -> Reward:
    said = label if value is None else value
    return Reward(
        context.number, 0, decision_id, decided_us, latency_us, propensity, NO_GROUP if group is None else group,
        metric, event, Operation(op), event_us, "" if said is None else said, arrived_us, False, "",
    )  # fmt: skip
