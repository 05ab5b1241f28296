"""Figures derived from a scenario's samples: ratios to ours, and the time that the gateway adds to a request."""

from collections.abc import Mapping, Sequence
from typing import Final

from loadtests.bench.figures import Sample, Spread, added_us, ratios, spread
from loadtests.bench.scenarios import Kind, Scenario
from loadtests.targets.floors import FLOOR
from loadtests.targets.ours import OURS

Samples = Mapping[str, Sequence[Sample]]

COMPARED: Final = ("rate_per_s", "p50_us", "p99_us")


def column(samples: Samples, name: str, figure: str) -> list[float]:
    """Return one figure of a server's rounds."""
    return [getattr(sample, figure) for sample in samples[name]]


def ratios_of_ours(samples: Samples, name: str) -> dict[str, Spread]:
    """Return ours ÷ that server for each figure. They are NaN if ours was skipped."""
    if OURS not in samples:
        return dict.fromkeys(COMPARED, spread([]))
    return {one: ratios(column(samples, OURS, one), column(samples, name, one)) for one in COMPARED}


def overhead_us(scenario: Scenario, samples: Samples) -> Spread | None:
    """Return the time that the gateway adds to a request, if both it and the bare server were saturated."""
    if scenario.kind is not Kind.CLOSED or not {OURS, FLOOR} <= samples.keys():
        return None
    return added_us(column(samples, OURS, "rate_per_s"), column(samples, FLOOR, "rate_per_s"))


def scaled(values: Spread, factor: float) -> Spread:
    """Return the spread in another unit."""
    return Spread(values.minimum * factor, values.median * factor, values.maximum * factor)
