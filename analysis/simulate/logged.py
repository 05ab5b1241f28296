"""Reads the logged decisions of a simulation in their order, as arrays, some thousands at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import duckdb
import numpy as np

from analysis.off_policy.sums import Bools, Floats, Integers
from analysis.route_log import quoted
from analysis.simulate.contexts import DeclaredContext
from router.evidence.sums import group_of
from router.rewards.buckets import length_s
from router.rewards.sums import MILLION
from router.spec.metric import MetricSpec

_ROWS = 50_000
_READ = """
SELECT decided_us, coalesce(list_position([{arms}], arm), 0) - 1 AS arm, propensity, least, value, is_default,
    unit_hash, features, numbers, texts
FROM usable ORDER BY decided_us, decision_id
"""


class Logged(NamedTuple):
    """Logged decisions, in their order. All are arrays of one length.

    `arms` are indices of the arms, -1 for one that the route does not declare. `least` is the least propensity of any
    arm then. `values` are in millionths of the metric's range. `is_rewarded` is False where nothing was reported.
    `groups` are those of the units, -1 without a unit. `vectors` are the contexts, of the shape (decisions, features);
    without a context there are no features.
    """

    decided_us: Integers
    arms: Integers
    propensities: Floats
    least: Floats
    values: Integers
    is_rewarded: Bools
    groups: Integers
    vectors: Integers

    def part(self, start: int, end: int) -> "Logged":
        """Return some of the decisions."""
        return Logged._make(each[start:end] for each in self)


def read_logged(
    connection: duckdb.DuckDBPyConnection, arms: Sequence[str], metric: MetricSpec, context: DeclaredContext | None
) -> Iterator[Logged]:
    """Yield the decisions of the table `usable`."""
    query = _READ.format(arms=", ".join(map(quoted, arms)))
    for batch in connection.sql(query).to_arrow_reader(_ROWS):
        decided_us, arm, propensities, least, values, is_default, units, *seen = batch.columns
        shares = (values.to_numpy() - metric.low) / (metric.high - metric.low)
        yield Logged(
            decided_us.to_numpy(),
            arm.to_numpy().astype(np.int64),
            propensities.to_numpy(),
            least.to_numpy(),
            np.rint(MILLION * np.clip(shares, 0.0, 1.0)).astype(np.int64),
            ~is_default.to_numpy(zero_copy_only=False),
            np.array([-1 if unit is None else group_of(unit) for unit in units.to_pylist()], np.int64),
            np.empty((len(arm), 0), np.int64)
            if context is None
            else context.vectors(*(each.to_pylist() for each in seen)),
        )


def by_bucket(batches: Iterable[Logged], metric: MetricSpec) -> Iterator[tuple[int, Logged]]:
    """Yield the decisions by time bucket, with its start in seconds. One that ends a batch may come in two parts."""
    length = length_s(metric)
    for batch in batches:
        starts_s = batch.decided_us // (1_000_000 * length) * length
        ends = [*(np.flatnonzero(np.diff(starts_s)) + 1).tolist(), len(starts_s)]
        begin = 0
        for end in ends:
            if end > begin:
                yield int(starts_s[begin]), batch.part(begin, end)
            begin = end
