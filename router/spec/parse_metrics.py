"""Parsing the metrics of a declared route.

They look like this:

    metrics:
      click: {window: 1h}
      revenue: {range: [0, 500], window: 7d, aggregate: sum}
      net: {formula: revenue - 0.1 * latency_ms, range: [-100, 500]}
      was_fraud: {label: true, window: 30d}
"""

import math
from collections.abc import Mapping
from typing import Any

from router.errors import Rejected
from router.quantities import format_duration, parse_duration_s
from router.refusals import check_keys, short_repr
from router.spec.formula import LARGEST_VALUE, LATENCY_MS, parse_formula
from router.spec.metric import Aggregate, MetricSpec
from router.spec.references import parse_name

MAX_METRICS = 16
LONGEST_WINDOW_S = 90 * 86_400.0
_REPORTED = ("window", "range", "default", "aggregate")
_LABEL = ("label", "window")
_FORMULA = ("formula", "range")


def parse_metrics(raw: object) -> tuple[MetricSpec, ...]:
    """Read metrics, in the order of their names.

    Raises:
        Rejected: if they are no legal mapping of names to metrics.
    """
    if raw is None:
        return ()
    if not isinstance(raw, dict) or not raw or len(raw) > MAX_METRICS:
        raise Rejected(f"metrics must map at most {MAX_METRICS} names to metrics, such as `{{click: {{window: 1h}}}}`.")
    for name, declared in raw.items():
        parse_name(name, "A metric's name")
        if name == LATENCY_MS:
            raise Rejected(f"No metric can be called {LATENCY_MS}: in a formula it is the time of the prediction.")
        if not isinstance(declared, dict):
            raise Rejected(f"metrics.{name} must be a mapping, such as `{{window: 1h}}`, not {short_repr(declared)}.")
    reported = {name: _parse_reported(name, each) for name, each in raw.items() if "formula" not in each}
    numbers = {name: metric for name, metric in reported.items() if not metric.is_label}
    return tuple(
        reported[name] if name in reported else _parse_computed(name, raw[name], numbers) for name in sorted(raw)
    )


def unparse_metrics(metrics: tuple[MetricSpec, ...]) -> dict[str, dict[str, Any]]:
    """Return the declaration of metrics, without what is the default."""
    return {metric.name: _unparse(metric) for metric in metrics}


def _parse_reported(name: str, raw: Mapping[str, Any]) -> MetricSpec:
    what = f"metrics.{name}"
    if "label" in raw:
        check_keys(raw, _LABEL, what)
        if raw["label"] is not True:
            raise Rejected(f"{what}.label must be true, or be left out.")
        return MetricSpec(name, _parse_window(raw, what), is_label=True)
    check_keys(raw, _REPORTED, what)
    low, high = _parse_range(raw, what)
    default = _parse_number(raw.get("default", 0), f"{what}.default")
    if not low <= default <= high:
        said = "is" if "default" in raw else "would be"
        raise Rejected(f"{what}.default {said} {default:g}; it must lie in the range, {low:g} to {high:g}.")
    aggregate = raw.get("aggregate", "last")
    if aggregate not in list(Aggregate):
        raise Rejected(f"{what}.aggregate must be {', '.join(Aggregate)}, not {short_repr(aggregate)}.")
    return MetricSpec(name, _parse_window(raw, what), low, high, default, Aggregate(aggregate))


def _parse_computed(name: str, raw: Mapping[str, Any], numbers: Mapping[str, MetricSpec]) -> MetricSpec:
    what = f"metrics.{name}"
    check_keys(raw, _FORMULA, what)
    parts = parse_formula(raw["formula"], f"{what}.formula")
    unknown = [part for part in parts if part != LATENCY_MS and part not in numbers]
    if unknown:
        raise Rejected(
            f"{what}.formula names {unknown[0]}, which is no metric with a number that is reported "
            f"({', '.join(numbers) or 'there is none'})."
        )
    windows_s = [numbers[part].window_s for part in parts if part != LATENCY_MS]
    if not windows_s:
        raise Rejected(f"{what}.formula needs a metric that is reported: {LATENCY_MS} alone is in the log already.")
    if "range" not in raw:
        raise Rejected(f"{what} must say its range, such as `range: [-1, 1]`; values beyond it are brought into it.")
    low, high = _parse_range(raw, what)
    return MetricSpec(name, max(windows_s), low, high, formula=raw["formula"], parts=parts)


def _parse_window(raw: Mapping[str, Any], what: str) -> float:
    if "window" not in raw:
        raise Rejected(f"{what} must say for how long rewards may come after a decision, such as `window: 1h`.")
    window_s = parse_duration_s(raw["window"], f"{what}.window")
    if not 1.0 <= window_s <= LONGEST_WINDOW_S:
        raise Rejected(f"{what}.window is {raw['window']}; it must be 1s to {format_duration(LONGEST_WINDOW_S)}.")
    return window_s


def _parse_range(raw: Mapping[str, Any], what: str) -> tuple[float, float]:
    declared = raw.get("range", [0, 1])
    if not isinstance(declared, list) or len(declared) != 2:
        raise Rejected(f"{what}.range must be the least and the largest value, such as [0, 1].")
    low, high = (_parse_number(each, f"{what}.range") for each in declared)
    if not low < high:
        raise Rejected(f"{what}.range begins at {low:g} and ends at {high:g}; the first must be the smaller one.")
    return low, high


def _parse_number(value: object, what: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or abs(value) > LARGEST_VALUE or not math.isfinite(value):  # type: ignore[arg-type]  # it is
        raise Rejected(f"{what} must be numbers of at most {LARGEST_VALUE:g}, not {short_repr(value)}.")
    return float(value)  # type: ignore[arg-type]  # as above


def _unparse(metric: MetricSpec) -> dict[str, Any]:
    if metric.is_label:
        return {"label": True, "window": format_duration(metric.window_s)}
    if metric.formula:
        return {"formula": metric.formula, "range": [metric.low, metric.high]}
    declared: dict[str, Any] = {"window": format_duration(metric.window_s)}
    if (metric.low, metric.high) != (0.0, 1.0):
        declared["range"] = [metric.low, metric.high]
    if metric.default != 0.0:
        declared["default"] = metric.default
    if metric.aggregate is not Aggregate.LAST:
        declared["aggregate"] = str(metric.aggregate)
    return declared
