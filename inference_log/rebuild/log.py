"""Sums that are rebuilt from the log: those of rewards, and how many requests were drawn, of all time; of contexts by
time bucket.

Decisions are counted from their rows, a day of a route at a time. Rewards are sorted by decision, and go through
`inference_log.reward_tally.weigh` in the order in which they arrived, some thousands at a time. So the memory does not
grow with the log; what must be sorted and does not fit is in a temporary folder.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from inference_log.bounded import bounded_connection
from inference_log.exposures import tally_contexts, tally_exposures
from inference_log.frozen_log import FrozenLog
from inference_log.rebuild.contexts import CREATE_SEEN, add_contexts, keep_contexts
from inference_log.rebuild.decisions import add_decisions
from inference_log.rebuild.rebuilt import DeclaredBy, Rebuilt
from inference_log.rebuild.rewards import add_rewards
from inference_log.record import Record
from inference_log.rows.reward_rows import reward_table
from inference_log.schema import INFERENCES, REWARDS
from inference_log.stored import Keys
from inference_log.tally import DRAWN, tally
from router.evidence.sums import ALL_UNITS, REQUESTS


def rebuild(
    frozen: FrozenLog, lives: Mapping[str, int], declared_by: DeclaredBy, progress: Callable[[str], None]
) -> Rebuilt:
    """Return the sums of each route of `lives`, over what was decided in this life (`Document.declared_us`)."""
    rebuilt = Rebuilt()
    with _connection() as connection:
        progress("reading what is not Parquet yet")
        _add_segments(rebuilt, connection, frozen, lives)
        keep_contexts(connection, frozen, lives)
        days_decided: dict[str, list[Keys]] = {route: [] for route in lives}
        for route, day in frozen.partitions(INFERENCES):
            if route in lives:
                progress(f"counting the decisions of {route}, {day}")
                stored = frozen.stored(INFERENCES, [(route, day)])
                add_decisions(rebuilt, connection, stored, route, lives[route], declared_by)
                add_contexts(rebuilt, connection, stored, route, lives[route], declared_by)
                days_decided[route].append((route, day))
        days_of: dict[str, list[Keys]] = {route: [] for route in lives}
        for values in frozen.partitions(REWARDS):
            days_of.get(values[0], []).append(values)
        for route, days in days_of.items():
            progress(f"counting the rewards of {route}")
            stored, decided = frozen.stored(REWARDS, days), frozen.stored(INFERENCES, days_decided[route])
            add_rewards(rebuilt, connection, stored, decided, route, lives[route], declared_by, progress)
    return rebuilt


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with bounded_connection() as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.register("empty", REWARDS.columns.append(pa.field("route", pa.string())).empty_table())
        connection.execute("CREATE TABLE waiting AS FROM empty")
        connection.execute(CREATE_SEEN)
        yield connection


def _add_segments(
    rebuilt: Rebuilt, connection: duckdb.DuckDBPyConnection, frozen: FrozenLog, lives: Mapping[str, int]
) -> None:
    for piece in frozen.pieces():
        records = [each for each in piece.read.records if _is_alive(lives, piece.contexts[each.context].route, each)]
        for route, sums in tally_exposures(piece.contexts, records).items():
            rebuilt.add(route, sums)
        for route, contexts in tally_contexts(piece.contexts, records).items():
            rebuilt.add_contexts(route, contexts)
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
