"""The results of a run as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from loadtests.bench.comparison import Samples, column, overhead_us, ratios_of_ours, scaled
from loadtests.bench.figures import spread
from loadtests.bench.runner import Results
from loadtests.bench.scenarios import Scenario

BYTES_PER_MB: Final = 1_000_000

_FIGURES: Final = ("rate_per_s", "p50_us", "p90_us", "p99_us", "max_us")


def results_json(suites: Sequence[Results], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return all suites: facts, every round's sample, spreads and ratios; what is unknown is null."""
    document = {
        "facts": dict(facts),
        "rounds": suites[0].plan.rounds,
        "skipped": {name: reason for results in suites for name, reason in results.skipped.items()},
        "failed": sum(results.failed for results in suites),
        "scenarios": [_scenario(scenario, results) for results in suites for scenario in results.plan.scenarios],
    }
    known: dict[str, Any] = _without_nan(document)
    return known


def _scenario(scenario: Scenario, results: Results) -> dict[str, Any]:
    samples = results.samples[scenario.name]
    added = overhead_us(scenario, samples)
    request_bytes = results.request_bytes[scenario.name]
    return {
        **asdict(scenario),
        "request_bytes": request_bytes,
        "added_us_per_request": asdict(added) if added else None,
        "fell_behind_at_per_s": results.behind.get(scenario.name, {}),
        "servers": {name: _server(scenario, samples, name, request_bytes) for name in samples},
    }


def _server(scenario: Scenario, samples: Samples, name: str, request_bytes: int) -> dict[str, Any]:
    rate = spread(column(samples, name, "rate_per_s"))
    return {
        **{figure: asdict(spread(column(samples, name, figure))) for figure in _FIGURES},
        "rows_per_s": asdict(scaled(rate, scenario.rows)),
        "request_mb_per_s": asdict(scaled(rate, request_bytes / BYTES_PER_MB)),
        "ratio_of_ours": {figure: asdict(ratio) for figure, ratio in ratios_of_ours(samples, name).items()},
        "rounds": [sample.as_json() for sample in samples[name]],
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
