"""What a run found: tables for people, JSON for programs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtests.figures import Sample, Spread, added_us, ratios, spread
from loadtests.runner import Results
from loadtests.scenarios import Kind, Scenario
from loadtests.targets import FLOOR, OURS

Samples = Mapping[str, Sequence[Sample]]

_US_PER_MS: Final = 1000


def print_report(results: Results, console: Console) -> None:
    """Print a table for each scenario, what the gateway adds to a request, and what was skipped."""
    for scenario in results.plan.scenarios:
        samples = results.samples[scenario.name]
        if not samples:
            continue
        console.print(_table(scenario, samples))
        added = overhead_us(scenario, samples)
        if added is not None:
            extent = f"{added.minimum:.0f} to {added.maximum:.0f} over the rounds"
            console.print(f"routing + logging + Serve add {added.median:.0f} us per request ({extent})\n")
    for name, reason in results.skipped.items():
        console.print(f"[yellow]Skipped {name}[/]: {escape(reason)}", highlight=False)
    if results.failed:
        console.print(f"[bold red]{results.failed} requests failed; these figures are not valid.[/]")


def results_json(results: Results, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole run: facts, every round's sample, spreads and ratios; what is unknown is null."""
    plan = results.plan
    document = {
        "facts": dict(facts),
        "rounds": plan.rounds,
        "body_bytes": results.body_bytes,
        "skipped": results.skipped,
        "failed": results.failed,
        "scenarios": [_scenario_json(scenario, results) for scenario in plan.scenarios],
    }
    known: dict[str, Any] = _without_nan(document)
    return known


def overhead_us(scenario: Scenario, samples: Samples) -> Spread | None:
    """Return what the gateway adds to a request, if both it and the bare server were saturated."""
    if scenario.kind is not Kind.CLOSED or not {OURS, FLOOR} <= samples.keys():
        return None
    return added_us(_column(samples, OURS, "rate_per_s"), _column(samples, FLOOR, "rate_per_s"))


def _table(scenario: Scenario, samples: Samples) -> Table:
    caption = "median of the rounds, below it lowest..highest; ratios were taken round by round"
    table = Table(title=_title(scenario), caption=caption, box=SIMPLE_HEAD, leading=1)
    table.add_column("server")
    headings = (
        "requests/s",
        "p50 ms",
        "p99 ms",
        "ours÷it\nrequests/s",
        "ours÷it\np50",
        "ours÷it\np99",
        "failed",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, rounds in samples.items():
        failed = sum(sample.failed for sample in rounds)
        table.add_row(
            name,
            _cell(spread(_column(samples, name, "rate_per_s")), 0),
            _cell(_in_ms(spread(_column(samples, name, "p50_us"))), 2),
            _cell(_in_ms(spread(_column(samples, name, "p99_us"))), 2),
            *(_cell(ratio, 2) for ratio in _ratios(samples, name).values()),
            f"[bold red]{failed}[/]" if failed else "0",
        )
    return table


def _title(scenario: Scenario) -> str:
    rate = f", {scenario.rate_per_s} requests/s" if scenario.rate_per_s else ""
    extent = f"{scenario.connections} connections{rate}, {scenario.duration_s} s a load"
    return f"{scenario.name} ({extent}): {scenario.summary}"


def _ratios(samples: Samples, name: str) -> dict[str, Spread]:
    """Return ours ÷ that server for each figure; not numbers if ours was skipped."""
    figures = "rate_per_s", "p50_us", "p99_us"
    if OURS not in samples:
        return dict.fromkeys(figures, spread([]))
    return {one: ratios(_column(samples, OURS, one), _column(samples, name, one)) for one in figures}


def _scenario_json(scenario: Scenario, results: Results) -> dict[str, Any]:
    samples = results.samples[scenario.name]
    added = overhead_us(scenario, samples)
    return {
        **asdict(scenario),
        "added_us_per_request": asdict(added) if added else None,
        "servers": {name: _server_json(samples, name) for name in samples},
    }


def _server_json(samples: Samples, name: str) -> dict[str, Any]:
    figures = "rate_per_s", "p50_us", "p90_us", "p99_us", "max_us"
    return {
        **{figure: asdict(spread(_column(samples, name, figure))) for figure in figures},
        "ratio_of_ours": {figure: asdict(ratio) for figure, ratio in _ratios(samples, name).items()},
        "rounds": [sample.as_json() for sample in samples[name]],
    }


def _column(samples: Samples, name: str, figure: str) -> list[float]:
    return [getattr(sample, figure) for sample in samples[name]]


def _in_ms(us: Spread) -> Spread:
    return Spread(us.minimum / _US_PER_MS, us.median / _US_PER_MS, us.maximum / _US_PER_MS)


def _cell(values: Spread, digits: int) -> str:
    if math.isnan(values.median):
        return "n/a"
    return f"{values.median:,.{digits}f}\n{values.minimum:,.{digits}f}..{values.maximum:,.{digits}f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
