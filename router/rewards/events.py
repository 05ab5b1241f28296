"""The events that were reported of a decision, and the value that they give a metric.

An event has an id, which the caller chooses. It is added, set to another value, or retracted. What is known of an event
is the largest of all its reports, in the order that `_precedence` gives. So the order in which reports arrive does not
matter, nor how often each of them does: the same reports give the same value.
"""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from router.spec.metric import Aggregate

MAX_EVENTS = 64
"""The most events of one decision and metric."""


class Operation(StrEnum):
    """What a report does to an event."""

    ADD = "add"  # the event happened
    SET = "set"  # it has another value than was said before
    RETRACT = "retract"  # it did not happen; nothing brings it back


class Report(NamedTuple):
    """What was reported of an event. `time_us` is since the epoch; `value` is a label if the metric is one."""

    operation: Operation
    time_us: int
    value: float | str


Events = Mapping[str, Report]
"""What is known of each event of a decision and a metric, by the event's id."""


def merge(known: Report | None, new: Report) -> Report:
    """Return what is known of an event after a report. This is commutative, associative and idempotent."""
    return new if known is None else max(known, new, key=_precedence)


def says_the_same(known: Report, new: Report) -> bool:
    """Return True if a report repeats what is known, apart from its time."""
    return known.operation is new.operation and (known.operation is Operation.RETRACT or known.value == new.value)


def aggregate(events: Events, how: Aggregate) -> float | None:
    """Return the value of a metric of numbers, or None if nothing was reported that still holds."""
    held = {id_: each for id_, each in events.items() if each.operation is not Operation.RETRACT}
    if not held:
        return None
    return _AGGREGATES[how](held)


def _precedence(report: Report) -> tuple[int, int, float, str]:
    """Return what decides between two reports of an event.

    A retraction beats all, and a set value an added one. Of two that were added the earlier counts, of two that were
    set the later. What remains equal is decided by the value, so that every machine decides alike.
    """
    rank = _RANK[report.operation]
    number, label = (0.0, report.value) if isinstance(report.value, str) else (report.value, "")
    return rank, report.time_us if report.operation is Operation.SET else -report.time_us, number, label


_RANK = {Operation.ADD: 0, Operation.SET: 1, Operation.RETRACT: 2}


def _number(report: Report) -> float:
    return report.value if isinstance(report.value, float) else float(report.value)


def _earliest(events: Events) -> float:
    return _number(events[min(events, key=lambda id_: (events[id_].time_us, id_))])


def _latest(events: Events) -> float:
    return _number(events[max(events, key=lambda id_: (events[id_].time_us, id_))])


_AGGREGATES: Mapping[Aggregate, Callable[[Events], float]] = {
    Aggregate.FIRST: _earliest,
    Aggregate.LAST: _latest,
    Aggregate.SUM: lambda events: math.fsum(map(_number, events.values())),  # exact, so in any order
    Aggregate.MIN: lambda events: min(map(_number, events.values())),
    Aggregate.MAX: lambda events: max(map(_number, events.values())),
}
