"""Says whether a day is closed, given what each machine says. It reads no clock and no file.

The clock of a machine stamps its events and its watermark. So a clock that is wrong delays the end of a day, or opens
it again, and loses nothing. `GRACE_US` is for what a machine writes shortly after it took the time.
"""

from collections.abc import Iterable
from typing import NamedTuple

from inference_log.completeness.days import DAY_US, end_us, start_us
from inference_log.completeness.watermark import Watermark

GRACE_US = 15 * 60 * 1_000_000
AWAY_US = DAY_US
"""A machine that has said nothing for so long is given up."""


class Standing(NamedTuple):
    """Whether a day is closed; the machines that it waits for, and those that were given up, by name."""

    is_closed: bool
    waits_for: tuple[str, ...]
    away: tuple[str, ...]


def standing(day: str, watermarks: Iterable[Watermark], now_us: int) -> Standing:
    """Return the standing of a day. A day of which no machine ever said anything is not closed.

    Of several watermarks of one machine the more cautious counts.

    Raises:
        DayRefused: it is not a day.
    """
    machines: dict[str, Watermark] = {}
    for each in watermarks:
        known = machines.get(each.machine)
        machines[each.machine] = each if known is None else _cautious(known, each)
    closes_us = end_us(day) + GRACE_US
    waits_for, away = list[str](), list[str]()
    for name, each in sorted(machines.items()):
        if each.has_ended or each.shipped_until_us >= closes_us or each.at_us < start_us(day) - AWAY_US:
            continue
        (away if now_us - each.at_us > AWAY_US else waits_for).append(name)
    is_closed = bool(machines) and now_us >= closes_us and not waits_for
    return Standing(is_closed, tuple(waits_for), tuple(away))


def _cautious(one: Watermark, other: Watermark) -> Watermark:
    return Watermark(
        one.machine,
        max(one.at_us, other.at_us),
        min(one.shipped_until_us, other.shipped_until_us),
        max(one.waiting, other.waiting),
        max(one.set_aside, other.set_aside),
        one.has_ended and other.has_ended,
    )
