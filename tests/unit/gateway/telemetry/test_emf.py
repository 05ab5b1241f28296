"""Lines of CloudWatch's Embedded Metric Format: valid by AWS's rules, and with the right numbers."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gateway.telemetry.emf import MOST_ARMS, EmbeddedMetrics, quantile_ms
from gateway.telemetry.metric_table import ABORTS, LOG_RECORDS, STALE
from gateway.telemetry.published import Published, TimedRequests
from gateway.telemetry.tallies import BUCKETS_S

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parent / "emf.schema.json").read_text()))
NOW_S = 1_800_000_000.25
MAX_BYTES = 256 * 1024


def requests(count: int, *, arm: str = "stable", status: int = 200, bucket: int = 3) -> TimedRequests:
    buckets = [0] * (len(BUCKETS_S) + 1)
    buckets[bucket] = count
    return TimedRequests("fraud", arm, "1", status, buckets, 0.0)


def read(line: str) -> dict:
    """Return a line as CloudWatch reads it; fail if it would not."""
    assert len(line.encode()) <= MAX_BYTES
    assert "\n" not in line
    root = json.loads(line)
    SCHEMA.validate(root)
    for directive in root["_aws"]["CloudWatchMetrics"]:
        names = [metric["Name"] for metric in directive["Metrics"]]
        assert len(set(names)) == len(names)
        assert all(isinstance(root[name], int | float) for name in names)
        assert all(isinstance(root[name], str) for dimensions in directive["Dimensions"] for name in dimensions)
    return root


def lines(metrics: EmbeddedMetrics, *published: Published, lag_s: float = 0.0) -> list[dict]:
    named = {str(number): one for number, one in enumerate(published)}
    return [read(line) for line in metrics.lines(named, set(named), lag_s, NOW_S)]


def test_the_first_lines_have_nothing_to_compare_with():
    (machine,) = lines(EmbeddedMetrics(), Published([requests(5)]), lag_s=3.5)
    assert machine["LogLag"] == 3.5
    assert "RowsDropped" not in machine
    assert machine["_aws"]["Timestamp"] == 1_800_000_000_250


def test_an_arm_has_what_came_since_the_last_lines_over_all_processes():
    metrics = EmbeddedMetrics()
    lines(metrics, Published([requests(100)]), Published([requests(50)]))
    first = Published([requests(190), requests(8, status=503)], counters={ABORTS: [(("fraud", "stable", "errors"), 1)]})
    _, arm = lines(metrics, first, Published([requests(60)]))
    assert (arm["Route"], arm["Arm"]) == ("fraud", "stable")
    assert (arm["Requests"], arm["Errors"], arm["Aborts"]) == (108, 8, 1)
    assert arm["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Service", "Route", "Arm"]]
    (machine,) = lines(metrics, first, Published([requests(60)]))
    assert machine["RowsDropped"] == 0


def test_the_machine_tells_dropped_rows_and_the_gauges_of_what_runs():
    metrics = EmbeddedMetrics()
    lines(metrics, Published(counters={LOG_RECORDS: [(("dropped",), 1)]}))
    dropped = Published(counters={LOG_RECORDS: [(("dropped",), 4)]}, gauges={STALE: [((), 2.0)]})
    ended = Published(gauges={STALE: [((), 99.0)]})
    found = metrics.lines({"0": dropped, "1": ended}, {"0"}, 0.0, NOW_S)
    machine = read(found[0])
    assert (machine["RowsDropped"], machine["StoreStale"]) == (3, 2.0)


def test_arms_beyond_the_bound_are_one():
    metrics = EmbeddedMetrics()
    arms = [f"arm-{number:04d}" for number in range(MOST_ARMS + 20)]
    lines(metrics, Published([requests(1, arm=arm) for arm in arms]))
    found = lines(metrics, Published([requests(3, arm=arm) for arm in arms]))[1:]
    assert len(found) == MOST_ARMS + 1
    (other,) = [each for each in found if each["Route"] == "other"]
    assert other["Requests"] == 2 * 20
    assert sum(each["Requests"] for each in found) == 2 * len(arms)


def test_counters_that_begin_anew_count_nothing():
    metrics = EmbeddedMetrics()
    lines(metrics, Published([requests(100)]))
    assert len(lines(metrics, Published([requests(3)]))) == 1


@pytest.mark.parametrize(
    ("counts", "share", "expected_ms"),
    [
        ({3: 10}, 0.5, 0.75),  # between 0.5 and 1 ms
        ({0: 99, 9: 1}, 0.99, 0.1),
        ({0: 98, 9: 2}, 0.99, 75.0),  # half of the bucket from 50 to 100 ms
        ({len(BUCKETS_S): 4}, 0.99, 10_000.0),
    ],
)
def test_quantiles_are_interpolated_in_their_bucket(counts, share, expected_ms):
    buckets = [counts.get(number, 0) for number in range(len(BUCKETS_S) + 1)]
    assert quantile_ms(buckets, share) == pytest.approx(expected_ms)
