"""The sums over a segment's records, by arm. Guardrails and comparisons are computed from these sums.

Live sums and sums that are rebuilt from a log both come from here, so the rules of counting exist once. A request
counts for the arm for which it was drawn, even if another arm answered it in the end. A request that was forced, pinned
or excluded was not drawn. A request whose caller left says nothing about the arm.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from inference_log.record import CALLERS_DEADLINE, Context, Record
from inference_log.values import STRINGS, elements, floats
from router.evidence import sums
from router.evidence.sums import SumKey
from router.plan import Reason

_BUCKET_US = sums.BUCKET_S * 1_000_000
_DRAWN = frozenset({Reason.STICKY.value, Reason.WEIGHTED.value})
_CALLER_LEFT = frozenset({"ClientGone", "CancelledError"})
_FAILED = frozenset({"error", "timeout"})
_REFUSED = "InputRefused"


def tally(contexts: Mapping[int, Context], records: Iterable[Record]) -> dict[str, dict[SumKey, int]]:
    """Return the sums of some records of one segment, by route. Sums of zero are left out, except for requests.

    Raises:
        KeyError: a record refers to a context that is not in `contexts`.
    """
    groups: dict[tuple[int, int], list[Record]] = defaultdict(list)
    for record in records:
        arrived_us = record.event_us - record.latency_us  # a bucket by time of end would depend on the result
        groups[record.context, arrived_us // _BUCKET_US].append(record)
    tallied: dict[str, dict[SumKey, int]] = {}
    for (number, bucket), group in groups.items():
        context = contexts[number]
        for name, value in _sums(context, group).items():
            key = SumKey(
                bucket * sums.BUCKET_S,
                context.policy_version,
                context.arm,
                context.model_version,
                context.against if context.role == "shadow" else "",
                name,
                context.against_version if context.role == "shadow" else "",
            )
            _add(tallied, context.route, key, value)
        for record in group if context.role == "fallback" else ():
            if record.blamed is not None and record.outcome == "ok":
                arm, version = record.blamed
                key = SumKey(bucket * sums.BUCKET_S, context.policy_version, arm, version, "", sums.ERRORS)
                _add(tallied, context.route, key, 1)
    return tallied


def _add(tallied: dict[str, dict[SumKey, int]], route: str, key: SumKey, value: int) -> None:
    of_route = tallied.setdefault(route, {})
    of_route[key] = of_route.get(key, 0) + value


def _sums(context: Context, group: Sequence[Record]) -> dict[str, int]:
    """Return the sums of records of one context, by name."""
    staying = [record for record in group if record.error_code not in _CALLER_LEFT]
    if context.role == "shadow":
        return _without_zeros(_of_shadow(staying))
    if context.role == "fallback":
        return {}
    drawn = [
        record for record in staying if record.attempt == 0 and record.reason in _DRAWN and record.outcome != "rejected"
    ]
    return {sums.REQUESTS: len(drawn), **_without_zeros(_of_requests(context, drawn))} if drawn else {}


def _of_requests(context: Context, drawn: Sequence[Record]) -> dict[str, int]:
    counted = {
        sums.ERRORS: sum(_is_arms_fault(context, record) for record in drawn),
        sums.MISSING: _missing(context, [record for record in drawn if record.outcome == "ok"]),
    }
    for threshold_us in context.slower_than_us:
        counted[sums.slow(threshold_us)] = sum(record.latency_us > threshold_us for record in drawn)
    return counted


def _is_arms_fault(context: Context, record: Record) -> bool:
    """Return True if the arm is at fault. If it refused the values, its fallback's record decides (`Record.blamed`)."""
    if record.error_code == CALLERS_DEADLINE or (record.error_code == _REFUSED and context.has_fallback):
        return False
    return record.outcome in _FAILED


def _of_shadow(records: Sequence[Record]) -> dict[str, int]:
    answered = [record for record in records if record.outcome == "ok"]
    compared = [record.comparison for record in answered if record.comparison is not None]
    return {
        sums.ANSWERS: len(answered),
        sums.FAILURES: len(records) - len(answered),
        sums.PAIRS: sum(each.pairs for each in compared),
        sums.FLIPS: sum(each.flips for each in compared),
        sums.DIFFERENCE: sum(each.difference for each in compared),
        sums.DIFFERENCE_SQUARED: sum(each.difference_squared for each in compared),
        sums.DELAY: sum(each.delay_us for each in compared),
        sums.DELAY_SQUARED: sum(each.delay_us**2 for each in compared),
    }


def _without_zeros(counted: Mapping[str, int]) -> dict[str, int]:
    return {name: value for name, value in counted.items() if value}


def _missing(context: Context, answered: Sequence[Record]) -> int:
    """Return how many outputs lack a value. Almost always none does, so check all numbers together first.

    A record that does not hold all values says itself whether one lacked.
    """
    known = [record.kept.is_missing for record in answered if record.kept is not None]
    if known:
        return sum(known) + _missing(context, [record for record in answered if record.kept is None])
    if context.prediction is not None and _has_gap(answered, *context.prediction):
        return sum(_is_missing(context, record) for record in answered)
    if context.label is not None and context.label[1] == STRINGS:
        return sum(_lacks_label(record, context.label[0]) for record in answered)
    return 0


def _is_missing(context: Context, record: Record) -> bool:
    if context.prediction is not None and _has_gap([record], *context.prediction):
        return True
    return context.label is not None and context.label[1] == STRINGS and _lacks_label(record, context.label[0])


def _has_gap(answered: Sequence[Record], index: int, type_string: str) -> bool:
    """Return True if a number is NaN or infinite."""
    size = np.dtype(type_string).itemsize
    parts = [part for record in answered if len(part := _output(record, index)) % size == 0]
    return not bool(np.isfinite(floats(parts, type_string)).all())


def _lacks_label(record: Record, index: int) -> bool:
    """Return True if an instance has no label, or an empty label."""
    labels = elements(_output(record, index))
    return labels is None or b"" in labels or len(labels) < record.batch_size


def _output(record: Record, index: int) -> bytes:
    return record.outputs[index] if index < len(record.outputs) else b""
