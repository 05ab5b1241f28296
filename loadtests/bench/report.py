"""The results of a run as tables on the console."""

import math
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtests.bench.comparison import Samples, column, overhead_us, ratios_of_ours, scaled
from loadtests.bench.figures import Spread, spread
from loadtests.bench.results_json import BYTES_PER_MB
from loadtests.bench.runner import Results
from loadtests.bench.scenarios import Scenario

_MS_PER_US: Final = 1 / 1000
_LARGE_BYTES: Final = 100_000
"""For requests of this size or more, the table has a column for megabytes per second."""
_FAR_APART: Final = 100
"""Ratios of this size or more are printed without decimals."""

_CAPTION: Final = "median of the rounds, below it lowest..highest; ratios are taken round by round"


def print_report(results: Results, console: Console) -> None:
    """Print a table for each scenario, the time that the gateway adds to a request, and the skipped servers."""
    for scenario in results.plan.scenarios:
        samples = results.samples[scenario.name]
        behind = results.behind.get(scenario.name, {})
        if samples:
            console.print(_table(scenario, samples, results.request_bytes[scenario.name]))
        for name, rate_per_s in behind.items():
            console.print(f"{name} does not keep up with {scenario.name}: {rate_per_s:.0f} requests/s, not measured")
        added = overhead_us(scenario, samples)
        if added is not None:
            extent = f"{added.minimum:.0f} to {added.maximum:.0f} over the rounds"
            console.print(f"routing + logging + Serve add {added.median:.0f} us per request ({extent})\n")
    for name, reason in results.skipped.items():
        console.print(f"[yellow]Skipped {name}[/]: {escape(reason)}", highlight=False)
    if results.failed:
        console.print(f"[bold red]{results.failed} requests failed; these figures are not valid.[/]")


def _table(scenario: Scenario, samples: Samples, request_bytes: int) -> Table:
    table = Table(title=_title(scenario), caption=_CAPTION, box=SIMPLE_HEAD, leading=1)
    table.add_column("server")
    per_second = _per_second(scenario, request_bytes)
    ratios = ("ours÷it\nper second", "ours÷it\np50", "ours÷it\np99")
    for heading in (*per_second, "p50 ms", "p99 ms", *ratios, "failed"):
        table.add_column(heading, justify="right")
    for name, rounds in samples.items():
        failed = sum(sample.failed for sample in rounds)
        rate = spread(column(samples, name, "rate_per_s"))
        table.add_row(
            name,
            *(_cell(scaled(rate, factor), 0) for factor in per_second.values()),
            *(_cell(scaled(spread(column(samples, name, one)), _MS_PER_US), 2) for one in ("p50_us", "p99_us")),
            *(_cell(ratio, 0 if ratio.median >= _FAR_APART else 2) for ratio in ratios_of_ours(samples, name).values()),
            f"[bold red]{failed}[/]" if failed else "0",
        )
    return table


def _per_second(scenario: Scenario, request_bytes: int) -> dict[str, float]:
    """Return the columns that are computed from the rate, each with its factor."""
    columns = {"requests/s": 1.0}
    if scenario.rows > 1:
        columns["rows/s"] = float(scenario.rows)
    if request_bytes >= _LARGE_BYTES:
        columns["MB/s"] = request_bytes / BYTES_PER_MB
    return columns


def _title(scenario: Scenario) -> str:
    rate = f", {scenario.rate_per_s} requests/s" if scenario.rate_per_s else ""
    extent = f"{scenario.connections} connections{rate}, {scenario.duration_s} s a load"
    return f"{scenario.name} ({extent}): {scenario.summary}"


def _cell(values: Spread, digits: int) -> str:
    if math.isnan(values.median):
        return "n/a"
    return f"{values.median:,.{digits}f}\n{values.minimum:,.{digits}f}..{values.maximum:,.{digits}f}"
