"""The sums over a segment's records, by arm. Guardrails and comparisons are computed from these sums.

Live sums and sums that are rebuilt from a log both come from here, so the rules of counting exist once. A request
counts for the arm for which it was drawn, even if another arm answered it in the end. A request that was forced, pinned
or excluded was not drawn. One for which the model was not asked, by no fault of its route's requests, says nothing of
the arm. Of a request whose caller left, it is known that it took longer than the caller waited, and nothing else.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from inference_log.missing_values import lacking
from inference_log.record import CALLERS_DEADLINE, NOT_STARTED, Context, Record
from inference_log.tally_weights import Counted, expected, weighed
from router.evidence import sums
from router.evidence.sums import ALL_UNITS, MILLION, SumKey, group_of
from router.plan import Reason
from router.snapshot import BANDIT

_BUCKET_US = sums.BUCKET_S * MILLION
DRAWN = frozenset({Reason.STICKY.value, Reason.WEIGHTED.value})
"""The reasons of requests whose arm was drawn."""

CALLER_LEFT = frozenset({"ClientGone", "CancelledError"})
_FAILED = frozenset({"error", "timeout"})
_REFUSED = "InputRefused"


def tally(contexts: Mapping[int, Context], records: Iterable[Record]) -> dict[str, dict[SumKey, int]]:
    """Return the sums of some records of one segment, by route. Sums of zero are left out.

    Raises:
        KeyError: a record refers to a context that is not in `contexts`.
    """
    batches: dict[tuple[int, int], list[Record]] = defaultdict(list)
    for record in records:
        arrived_us = record.event_us - record.latency_us  # a bucket by time of end would depend on the result
        batches[record.context, arrived_us // _BUCKET_US].append(record)
    tallied: dict[str, dict[SumKey, int]] = {}
    for (number, bucket), batch in batches.items():
        context = contexts[number]
        is_shadow = context.role == "shadow"
        against, against_version = (context.against, context.against_version) if is_shadow else ("", "")
        for (arm, version), counted in _counted(context, batch):
            for name, group, value in counted:
                if value:
                    begin_s, policy = _begin_s(bucket, group), context.policy_version
                    key = SumKey(begin_s, policy, arm, version, against, name, against_version, group)
                    of_route = tallied.setdefault(context.route, {})
                    of_route[key] = of_route.get(key, 0) + value
    return tallied


def _begin_s(bucket: int, group: int) -> int:
    bucket_s = bucket * sums.BUCKET_S
    return bucket_s if group == ALL_UNITS else bucket_s // sums.GROUP_BUCKET_S * sums.GROUP_BUCKET_S


def _counted(context: Context, batch: Sequence[Record]) -> Iterator[tuple[tuple[str, str], Iterable[Counted]]]:
    """Yield what the records of one context count for an arm and its version, by arm and version."""
    own = context.arm, context.model_version
    if context.role == "shadow":
        staying = [record for record in batch if record.error_code not in CALLER_LEFT]
        yield own, chain(_of_shadow(staying), _compared_by_group(staying), [_unseen(context, staying)])
    elif context.role == "primary":
        drawn = [
            record
            for record in batch
            if record.attempt == 0
            and record.reason in DRAWN
            and record.outcome != "rejected"
            and record.error_code != NOT_STARTED
        ]
        if drawn:
            found = _of_requests(context, drawn)
            yield own, chain(_by_name(found), weighed(context, context.arm, found), [_unseen(context, drawn)])
            if context.policy_kind == BANDIT:
                yield from (((arm, ""), counted) for arm, counted in expected(context, drawn))
    else:
        blamed = [(record.blamed, record) for record in batch if record.blamed is not None and record.outcome == "ok"]
        for arm, record in blamed:
            found = {sums.ERRORS: [record]}
            yield arm, chain(_by_name(found), weighed(context, arm[0], found))


def _by_name(found: Mapping[str, Sequence[Record]]) -> Iterator[Counted]:
    """Yield the number of records of each name: of all of them, and by group of units."""
    for name, records in found.items():
        yield name, ALL_UNITS, len(records)
        groups = Counter([group_of(record.unit_hash) for record in records if record.unit_hash is not None])
        for group, number in groups.items():
            yield name, group, number


def _of_requests(context: Context, drawn: Sequence[Record]) -> dict[str, list[Record]]:
    known = [record for record in drawn if record.error_code not in CALLER_LEFT]
    found = {
        sums.REQUESTS: known,
        sums.LEFT: [record for record in drawn if record.error_code in CALLER_LEFT] if len(known) < len(drawn) else [],
        sums.ERRORS: [record for record in known if record.outcome in _FAILED and _is_arms_fault(context, record)],
        sums.MISSING: lacking(context, [record for record in known if record.outcome == "ok"]),
    }
    for threshold_us in context.slower_than_us:
        found[sums.slow(threshold_us)] = [record for record in drawn if record.latency_us > threshold_us]
    return found


def _unseen(context: Context, records: Sequence[Record]) -> Counted:
    """Return how many answers hold nothing that could be checked or compared."""
    is_visible = context.prediction is not None or context.label is not None
    return sums.UNSEEN, ALL_UNITS, 0 if is_visible else sum(record.outcome == "ok" for record in records)


def _is_arms_fault(context: Context, record: Record) -> bool:
    """Return True if the arm is at fault. If it refused the values, its fallback's record decides (`Record.blamed`)."""
    return record.error_code != CALLERS_DEADLINE and not (record.error_code == _REFUSED and context.has_fallback)


def _of_shadow(records: Sequence[Record]) -> Iterator[Counted]:
    answered = [record for record in records if record.outcome == "ok"]
    compared = [record.comparison for record in answered if record.comparison is not None]
    counted = {
        sums.ANSWERS: len(answered),
        sums.FAILURES: len(records) - len(answered),
        sums.INSTANCES: sum(each.pairs for each in compared),
        sums.DIFFERENCE: sum(each.difference for each in compared),
        sums.DIFFERENCE_SQUARED: sum(each.difference_squared for each in compared),
        sums.DELAY: sum(each.delay_us for each in compared),
        sums.DELAY_SQUARED: sum(each.delay_us**2 for each in compared),
    }
    for name, value in counted.items():
        yield name, ALL_UNITS, value


def _compared_by_group(records: Sequence[Record]) -> Iterator[Counted]:
    """Yield how many requests were compared, and the sum of their shares of flips: of all, and by group of units."""
    for record in records:
        if record.outcome == "ok" and record.comparison is not None and record.comparison.pairs:
            share = round(MILLION * record.comparison.flips / record.comparison.pairs)
            for group in (ALL_UNITS,) if record.unit_hash is None else (ALL_UNITS, group_of(record.unit_hash)):
                yield sums.PAIRS, group, 1
                yield sums.FLIPS, group, share
