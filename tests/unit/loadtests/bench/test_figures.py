"""The benchmark's arithmetic: the output of the load generators becomes samples, spreads and ratios."""

import math

import pytest

from loadtests.bench.figures import (
    TIMER_LAG_US,
    Sample,
    Spread,
    added_us,
    held_back_us,
    lost,
    parse_h2load_log,
    parse_wrk,
    percentile,
    ratios,
    schedule_us,
    spread,
)

WRK_OUTPUT = """Running 5s test @ http://127.0.0.1:18600/v2/models/cancer/infer
  1 threads and 32 connections
  12000 requests in 5.00s, 4.00MB read
{"requests":12000,"duration_us":5000000,"p50_us":2500,"p90_us":4000,"p99_us":9000,"max_us":20000,\
"failures":{"connect":0,"read":0,"write":0,"timeout":1,"status":2000}}
"""


def h2load_log(*rows: tuple[int, int, int]) -> str:
    return "".join(f"{start_us}\t{status}\t{took_us}\n" for start_us, status, took_us in rows)


def test_wrk_summary_becomes_a_sample() -> None:
    sample = parse_wrk(WRK_OUTPUT)
    assert (sample.p50_us, sample.p90_us, sample.p99_us, sample.max_us) == (2500, 4000, 9000, 20000)
    assert sample.failures == {"timeout": 1, "status": 2000}
    assert sample.failed == 2001


def test_rate_counts_only_responses_of_status_2xx() -> None:
    assert parse_wrk(WRK_OUTPUT).rate_per_s == 2000


def test_wrk_output_without_a_summary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"post\.lua"):
        parse_wrk("unable to connect to 127.0.0.1:18600 Connection refused")


def test_h2load_log_of_requests_sent_on_time_keeps_its_latencies() -> None:
    log = h2load_log((0, 200, 300), (100_000, 200, 500), (200_000, 200, 400), (301_000, 200, 600))
    sample = parse_h2load_log(log, requests=4, connections=2, rate_per_s=10)
    assert (sample.p50_us, sample.max_us) == (400, 600)
    assert (sample.requests, sample.failed) == (4, 0)
    assert sample.duration_s == pytest.approx(0.3016)


def test_request_held_back_by_a_stall_counts_from_when_it_was_due() -> None:
    stalled = h2load_log((0, 200, 250_000), (250_000, 200, 1000), (251_000, 200, 1000))
    sample = parse_h2load_log(stalled, requests=3, connections=1, rate_per_s=10)
    assert sample.max_us == 250_000
    assert sample.p50_us == 151_000, "sent at 250 ms, due at 100 ms, took 1 ms"


def test_rows_in_any_order_give_the_same_sample() -> None:
    rows = [(0, 200, 300), (100_000, 200, 500), (200_000, 200, 400)]
    in_order, reversed_ = h2load_log(*rows), h2load_log(*reversed(rows))
    assert parse_h2load_log(in_order, 3, 1, 10) == parse_h2load_log(reversed_, 3, 1, 10)


def test_failed_and_unsent_requests_are_counted_and_have_no_latency() -> None:
    log = h2load_log((0, 200, 300), (100_000, 503, 50_000), (200_000, -1, 70_000))
    sample = parse_h2load_log(log, requests=5, connections=1, rate_per_s=10)
    assert sample.failures == {"status": 2, "unsent": 2}
    assert sample.max_us == 300
    assert sample.rate_per_s == pytest.approx(1 / 0.27)


def test_empty_h2load_log_is_refused() -> None:
    with pytest.raises(ValueError, match="logged no request"):
        parse_h2load_log("", requests=5, connections=1, rate_per_s=10)


def test_schedule_repeats_the_first_requests_at_each_connections_interval() -> None:
    assert schedule_us([5, 105, 210], requests=7, interval_s=0.0003) == [5, 105, 210, 305, 405, 510, 605]


@pytest.mark.parametrize(("late_us", "counted_us"), [(-50, 0), (TIMER_LAG_US, 0), (TIMER_LAG_US + 1, 2001)])
def test_lateness_within_the_generators_clock_is_not_the_servers(late_us: int, counted_us: int) -> None:
    assert held_back_us(1000 + late_us, 1000) == counted_us


@pytest.mark.parametrize(("percent", "value"), [(0, 10), (50, 20), (75, 30), (99, 40), (100, 40)])
def test_percentile_is_of_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([10, 20, 30, 40], percent) == value


def test_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 50))


def test_spread_leaves_out_rounds_without_a_figure() -> None:
    assert spread([3.0, math.nan, 1.0, 2.0]) == Spread(minimum=1.0, median=2.0, maximum=3.0)
    assert math.isnan(spread([math.nan]).median)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([100, 50, 30], [50, 50, 60]) == Spread(minimum=0.5, median=1.0, maximum=2.0)


def test_ratio_to_a_round_without_responses_is_left_out() -> None:
    assert ratios([100, 50], [0, 50]) == Spread(minimum=1.0, median=1.0, maximum=1.0)


def test_added_time_is_the_difference_of_the_times_per_request() -> None:
    assert added_us([5000, 4000], [10_000, 5000]) == Spread(minimum=50.0, median=75.0, maximum=100.0)


def test_added_time_needs_both_figures() -> None:
    assert math.isnan(added_us([0], [10_000]).median)


def test_load_without_figures_counts_as_one_failure() -> None:
    sample = lost("unfinished")
    assert (sample.failed, sample.rate_per_s) == (1, 0)
    assert math.isnan(sample.p99_us)


def test_sample_as_json_has_the_derived_figures() -> None:
    document = Sample(10, 2.0, 1, 2, 3, 4, {"timeout": 1}).as_json()
    assert document["rate_per_s"] == 5
    assert document["failed"] == 1
    assert document["failures"] == {"timeout": 1}
