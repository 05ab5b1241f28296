"""Analyses of sticky routes: the view of first exposures, and the estimate by unit that the documentation gives."""

import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference_log.schema import INFERENCES
from tests.support.paths import ROOT
from tests.unit.inference_log.conftest import NOON_US

NOON = datetime(2026, 1, 1, 12)
SEED, LOGS, LOGS_IN_SQL = 20261129, 2000, 10
UNITS, LATE, LEVEL, LOYAL = 1000, 0.2, 0.1, 0.9
SMALL, LARGE = 0.1, 0.5
REQUESTS = (1, 4)  # of each unit, before and after the weights may change

Numbers = np.ndarray[Any, np.dtype[np.float64]]


def test_a_unit_has_the_arm_of_its_first_draw_and_the_time_of_its_switch(
    ask, seat, make_context, make_record, write_segment
):
    contexts = [
        make_context(number=0, arm="stable"),
        make_context(number=1, arm="canary", model_version="3", policy_version=4),
        make_context(number=2, arm="stable", route="digits"),
    ]

    def drawn(context: int, seq: int, after_s: int, unit: str, **more):
        share = {"reason": "STICKY", "propensity": 0.9, **more}
        return make_record(context, seq, event_us=NOON_US + 1_000_000 * after_s, unit_hash=unit, **share)

    records = [
        drawn(1, 0, 30, "ada", propensity=0.2),  # written first
        drawn(0, 1, 10, "ada"),
        drawn(0, 2, 20, "ada"),
        drawn(1, 3, 40, "ada", propensity=0.5),
        drawn(1, 4, 15, "bob", propensity=0.2),
        drawn(1, 5, 25, "bob", propensity=0.5),
        drawn(2, 6, 5, "ada"),
    ]
    write_segment(seat.folder, contexts, records)
    columns, rows = ask("FROM first_exposures ORDER BY route, unit")
    assert columns == [
        "route", "unit", "arm", "model_version", "propensity", "first_ts", "policy_version", "switched", "switched_ts",
    ]  # fmt: skip
    assert rows == [
        ("cancer", "ada", "stable", "2", 0.9, NOON + timedelta(seconds=10), 3, True, NOON + timedelta(seconds=30)),
        ("cancer", "bob", "canary", "3", 0.2, NOON + timedelta(seconds=15), 4, False, None),
        ("digits", "ada", "stable", "2", 0.9, NOON + timedelta(seconds=5), 3, False, None),
    ]


def test_what_was_not_drawn_for_a_unit_is_no_exposure(ask, seat, make_context, make_record, write_segment):
    contexts = [make_context(), make_context(number=1, role="fallback"), make_context(number=2, role="shadow")]
    records = [
        make_record(0, 0, unit_hash="forced", reason="FORCED", propensity=None),
        make_record(0, 1, unit_hash="pinned", reason="PINNED", propensity=None),
        make_record(0, 2, unit_hash="held out", reason="HELD_OUT", propensity=None),
        make_record(1, 3, unit_hash="fallback", reason="FALLBACK", propensity=None),
        make_record(2, 4, unit_hash="shadow", reason="SHADOW", propensity=None),
        make_record(0, 5, unit_hash=None, reason="WEIGHTED"),
        make_record(0, 6, unit_hash="drawn", reason="STICKY"),
    ]
    write_segment(seat.folder, contexts, records)
    assert ask("SELECT unit FROM first_exposures")[1] == [("drawn",)]


class Log(NamedTuple):
    """The rows of a generated log, in order of time: unit, whether the canary was drawn, propensity, outcome."""

    unit: np.ndarray[Any, np.dtype[np.int64]]
    is_canary: np.ndarray[Any, np.dtype[np.bool_]]
    propensity: Numbers
    outcome: Numbers


def generate(number: int) -> Log:
    """Return a log without a difference between the arms: outcomes depend on units only.

    The canary grows from 10 % to 50 % if it looks better than stable after the first requests. A tenth of the units are
    good ones, whose outcome is nearly always 1. A fifth of the units come after the weights may have changed.
    """
    rng = np.random.default_rng([SEED, number])
    is_good, slot, is_late = rng.random(UNITS) < LEVEL, rng.random(UNITS), rng.random(UNITS) < LATE
    share, parts = SMALL, []
    for phase, requests in enumerate(REQUESTS):
        unit = np.repeat(np.flatnonzero(~is_late) if phase == 0 else np.arange(UNITS), requests)
        is_canary = slot[unit] < share
        by_chance = rng.random(len(unit)) < LEVEL
        outcome = np.where(rng.random(len(unit)) < LOYAL, is_good[unit], by_chance).astype(np.float64)
        parts.append(Log(unit, is_canary, np.where(is_canary, share, 1 - share), outcome))
        if outcome[is_canary].mean() >= outcome[~is_canary].mean():
            share = LARGE
    return Log(*map(np.concatenate, zip(*parts, strict=True)))


def by_row(log: Log) -> float:
    """Return the difference of the arms by IPS, each row for itself."""
    return float(np.mean(np.where(log.is_canary, log.outcome, -log.outcome) / log.propensity))


def by_unit(log: Log) -> tuple[float, float]:
    """Return the difference of the arms' means and its standard error, from each unit's first assignment."""
    _, first, index = np.unique(log.unit, return_index=True, return_inverse=True)
    mean_of_unit = np.bincount(index, weights=log.outcome) / np.bincount(index)
    weight = 1 / log.propensity[first]

    def arm(units: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[float, float]:
        y, w = mean_of_unit[units], weight[units]
        mean = (w * y).sum() / w.sum()
        return mean, np.sqrt(((w * (y - mean)) ** 2).sum()) / w.sum()

    (canary, canary_error), (stable, stable_error) = arm(log.is_canary[first]), arm(~log.is_canary[first])
    return canary - stable, float(np.hypot(canary_error, stable_error))


def test_where_weights_follow_outcomes_the_estimate_by_row_is_biased_and_the_one_by_unit_is_not():
    """The seed is 20261129. By row: -0.0065, standard error 0.0005. By unit: -0.0002, standard error 0.0006."""
    logs = [generate(number) for number in range(LOGS)]
    rows = np.array([by_row(log) for log in logs])
    units, errors = np.array([by_unit(log) for log in logs]).T
    assert rows.mean() < -8 * rows.std() / np.sqrt(LOGS)
    assert abs(units.mean()) < 2 * units.std() / np.sqrt(LOGS)
    covered = np.mean(np.abs(units) < 1.96 * errors)
    assert 0.91 < covered < 0.97  # nominal 95 %; the standard error of this share is 0.5 %


def test_the_sql_of_the_documentation_gives_the_estimate_by_unit(ask, tmp_path):
    page = (ROOT / "docs/operating.md").read_text()
    (sql,) = (block for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "first_exposures" in block)
    logs = [generate(number) for number in range(LOGS_IN_SQL)]
    for number, log in enumerate(logs):
        write_log(tmp_path / "log", f"route-{number}", log)
    columns, found = ask(sql)
    assert columns == ["route", "canary_units", "stable_units", "difference", "standard_error"]
    for (route, canary, stable, difference, error), log in zip(found, logs, strict=True):
        assert route.startswith("route-")
        assert canary + stable == len(np.unique(log.unit))
        assert (difference, error) == pytest.approx(by_unit(log))


def write_log(folder, route: str, log: Log) -> None:
    """Write the rows as Parquet, as a gateway does, with the columns that matter."""
    size = len(log.unit)
    known = {
        "inference_id": [f"{route}-{row}" for row in range(size)],
        "event_ts": pa.array(np.arange(size)).cast(pa.timestamp("ms")),
        "event_ts_us": np.arange(size) * 1000,
        "arm": np.where(log.is_canary, "canary", "stable"),
        "role": ["primary"] * size,
        "reason": ["STICKY"] * size,
        "propensity": log.propensity,
        "unit_hash": log.unit.astype(str),
        "instance_index": np.zeros(size, np.int32),
        "outcome": np.where(log.outcome > 0, "ok", "error"),
    }
    columns = [
        pa.array(known[field.name], field.type) if field.name in known else pa.nulls(size, field.type)
        for field in INFERENCES.columns
    ]
    path = folder / "inferences" / f"route={route}" / "dt=1970-01-01" / "rows.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=INFERENCES.columns), path)
