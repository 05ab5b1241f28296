"""Parsing the guardrails of a declared route."""

import sys
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from router.draw.assignment import BUCKETS
from router.errors import Rejected
from router.quantities import parse_duration_s, parse_share
from router.refusals import check_keys, short_repr
from router.spec.metric import MetricSpec
from router.spec.spec import Guardrail, GuardrailKind

MAX_GUARDRAILS = 16
_MOST_TOLERANCE = sys.float_info.max


def parse_guardrails(raw: object) -> tuple[Guardrail, ...]:
    """Read guardrails.

    Raises:
        Rejected: if they are not a legal list of guardrails.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list) or len(raw) > MAX_GUARDRAILS:
        raise Rejected(f"guardrails must be a list of at most {MAX_GUARDRAILS}.")
    parsed = tuple(_parse_guardrail(each, f"guardrails[{index}]") for index, each in enumerate(raw))
    seen = set()
    for guardrail in parsed:
        what = guardrail.kind, guardrail.slower_than_us, guardrail.metric
        if what in seen:
            raise Rejected(f"guardrails watches {guardrail.kind} twice.")
        seen.add(what)
    return parsed


def _parse_guardrail(raw: object, what: str) -> Guardrail:
    kinds = [kind for kind in GuardrailKind if isinstance(raw, dict) and kind in raw]
    if not isinstance(raw, dict) or len(kinds) != 1:
        raise Rejected(f"{what} must have one of {', '.join(GuardrailKind)}, such as `errors: {{worse_by: 1%}}`.")
    kind = kinds[0]
    if kind is GuardrailKind.SLOWER_THAN:
        check_keys(raw, (kind, "worse_by"), what)
        threshold_us = round(parse_duration_s(raw[kind], f"{what}.{kind}") * 1_000_000)
        return Guardrail(kind=kind, margin=_margin(raw, "worse_by", what), slower_than_us=threshold_us)
    check_keys(raw, (kind,), what)
    options = raw[kind]
    if not isinstance(options, dict):
        key = "above" if kind is GuardrailKind.DISAGREEMENT else "worse_by"
        raise Rejected(f"{what}.{kind} must say how much is allowed, such as `{{{key}: 1%}}`.")
    if kind is GuardrailKind.REWARD:
        check_keys(options, ("metric", "worse_by"), f"{what}.{kind}")
        if not isinstance(options.get("metric"), str):
            raise Rejected(f"{what}.{kind} must name a metric, such as `{{metric: click, worse_by: 2%}}`.")
        return Guardrail(kind=kind, margin=_margin(options, "worse_by", f"{what}.{kind}"), metric=options["metric"])
    if kind is not GuardrailKind.DISAGREEMENT:
        check_keys(options, ("worse_by",), f"{what}.{kind}")
        return Guardrail(kind=kind, margin=_margin(options, "worse_by", f"{what}.{kind}"))
    check_keys(options, ("above", "sample", "tolerance"), f"{what}.{kind}")
    return Guardrail(
        kind=kind,
        margin=_margin(options, "above", f"{what}.{kind}"),
        sample_slots=parse_sample(options, f"{what}.{kind}"),
        tolerance=parse_tolerance(options, f"{what}.{kind}"),
    )


def check_metrics(guardrails: Iterable[Guardrail], metrics: Iterable[MetricSpec]) -> None:
    """Check that guardrails on rewards watch metrics that are declared.

    Raises:
        Rejected: if there is no such metric, or it is a label.
    """
    numbers = [metric.name for metric in metrics if not metric.is_label]
    for guardrail in guardrails:
        if guardrail.kind is GuardrailKind.REWARD and guardrail.metric not in numbers:
            there = f"those with numbers are {', '.join(numbers)}" if numbers else "none with numbers is declared"
            raise Rejected(f"guardrails watches metric {short_repr(guardrail.metric)}; {there}.")


def _margin(raw: Mapping[str, Any], key: str, what: str) -> Fraction:
    if key not in raw:
        raise Rejected(f"{what} must say how much is allowed, such as `{key}: 1%`.")
    margin = parse_share(raw[key], f"{what}.{key}")
    if margin >= 1:
        raise Rejected(f"{what}.{key} is 100%, which allows everything.")
    if key == "above" and margin == 0:
        raise Rejected(f"{what}.above is 0%: the first answer that differs would end it; allow at least 0.01%.")
    return margin


def parse_sample(raw: Mapping[str, Any], what: str) -> int:
    """Read the share of the requests that are sampled, as slots. The default is all of them.

    Raises:
        Rejected: if it is not a share, or less than a slot.
    """
    slots = round(parse_share(raw.get("sample", 1), f"{what}.sample") * BUCKETS)
    if slots < 1:
        raise Rejected(f"{what}.sample is nothing; the least is 0.01%.")
    return slots


def parse_tolerance(raw: Mapping[str, Any], what: str) -> float:
    """Read by how much predictions that agree may differ. The default is 0.

    Raises:
        Rejected: if it is not a finite number, or is negative.
    """
    tolerance = raw.get("tolerance", 0.0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= _MOST_TOLERANCE:
        raise Rejected(f"{what}.tolerance must be a number that is not negative, not {short_repr(tolerance)}.")
    return float(tolerance)
