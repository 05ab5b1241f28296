"""The report of samples: ratios to ours, columns that depend on the scenario, JSON without NaN."""

import io
import math
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from loadtests.bench.comparison import overhead_us, ratios_of_ours
from loadtests.bench.figures import Sample
from loadtests.bench.report import print_report
from loadtests.bench.results_json import results_json
from loadtests.bench.runner import Plan, Results, rotated
from loadtests.bench.scenarios import Kind, Scenario

SCENARIO = Scenario("c", "http", Kind.CLOSED, "s", 32, 1, rows=64)


def sample(rate_per_s: int, p99_us: float = 3.0, failures: dict[str, int] | None = None) -> Sample:
    return Sample(rate_per_s, 1.0, 1.0, 2.0, p99_us, math.nan, failures or {})


def results(request_bytes: int = 1_000_000, **servers: list[Sample]) -> Results:
    plan = Plan(list(servers), [SCENARIO], 2, 1, Path(), Path())
    return Results(plan, request_bytes={"c": request_bytes}, samples={"c": servers})


def printed(found: Results) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_report(found, console)
    return console.file.getvalue()


def test_ratio_is_ours_divided_by_the_other_in_each_round() -> None:
    samples = {"ours": [sample(100), sample(300)], "bare": [sample(200), sample(200)]}
    assert ratios_of_ours(samples, "bare")["rate_per_s"].median == 1.0
    assert ratios_of_ours(samples, "bare")["rate_per_s"].minimum == 0.5


def test_without_ours_there_is_no_ratio() -> None:
    assert math.isnan(ratios_of_ours({"bare": [sample(200)]}, "bare")["rate_per_s"].median)


def test_added_time_needs_a_closed_loop_and_both_servers() -> None:
    both = {"ours": [sample(5000)], "bare": [sample(10_000)]}
    added = overhead_us(SCENARIO, both)
    assert added is not None
    assert added.median == pytest.approx(100)
    assert overhead_us(SCENARIO, {"ours": [sample(5000)]}) is None
    assert overhead_us(Scenario("o", "http", Kind.OPEN, "s", 32, 1, rate_per_s=5), both) is None


def test_json_has_rows_and_megabytes_per_second_and_no_nan() -> None:
    document = results_json([results(ours=[sample(10)])], {"cpu_count": 2})
    server = document["scenarios"][0]["servers"]["ours"]
    assert server["rows_per_s"]["median"] == 640
    assert server["request_mb_per_s"]["median"] == 10
    assert server["max_us"]["median"] is None
    assert b"NaN" not in orjson.dumps(document)


def test_json_holds_the_scenarios_of_all_suites() -> None:
    document = results_json([results(ours=[sample(10)]), results(ours=[sample(5, failures={"status": 2})])], {})
    assert [one["name"] for one in document["scenarios"]] == ["c", "c"]
    assert document["failed"] == 2


@pytest.mark.parametrize(("request_bytes", "shown"), [(1_000_000, True), (300, False)])
def test_megabytes_are_shown_for_large_requests_only(request_bytes: int, shown: bool) -> None:
    text = printed(results(request_bytes, ours=[sample(10)]))
    assert ("MB/s" in text) is shown
    assert "rows/s" in text


def test_servers_that_fell_behind_or_were_skipped_are_named() -> None:
    found = results(ours=[sample(10)])
    found.behind = {"c": {"slow": 87.4}}
    found.skipped = {"absent": "Port [1] is taken."}
    text = printed(found)
    assert "slow does not keep up with c: 87 requests/s" in text
    assert "Skipped absent: Port [1] is taken." in text


def test_each_round_begins_with_another_server() -> None:
    assert [rotated(["a", "b"], round_)[0] for round_ in range(3)] == ["a", "b", "a"]
    assert rotated([], 1) == []
