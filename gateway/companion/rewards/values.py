"""The checks of a reward's value, event and time. What is not right is refused, and never brought into order."""

from datetime import UTC, datetime, timedelta

import msgspec

from gateway.companion.rewards.documents import RewardRefused
from gateway.protocols.rewards import SentReward, is_number
from router.refusals import short_repr
from router.rewards.events import Operation
from router.spec.metric import MetricSpec

MAX_EVENT_CHARACTERS = 128
MAX_LABEL_CHARACTERS = 256
CLOCKS_DIFFER_US = 5 * 60 * 1_000_000
"""How far the clock of what reports a reward may be from ours."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNSET = msgspec.UNSET


def check_value(sent: SentReward, metric: MetricSpec) -> float | str:
    """Return the value or the label of a reward. A retraction without one has 0 or an empty label.

    Raises:
        RewardRefused: it is not what the metric takes.
    """
    wanted, given = ("label", sent.label), ("value", sent.value)
    if not metric.is_label:
        wanted, given = given, wanted
    (name, value), (other, misplaced) = wanted, given
    if misplaced is not _UNSET:
        is_what = "a label: send `label`" if metric.is_label else "a number: send `value`"
        raise RewardRefused(f"Metric {metric.name} is {is_what}, not `{other}`.")
    if value is _UNSET:
        if sent.op is Operation.RETRACT:
            return "" if metric.is_label else 0.0
        raise RewardRefused(f"The reward has no `{name}`; metric {metric.name} needs one.")
    return _label(value, metric) if metric.is_label else _number(value, metric)


def check_event(event: str) -> str:
    """Return the id of an event.

    Raises:
        RewardRefused: it is too long, or has characters that no text file could hold.
    """
    if len(event) > MAX_EVENT_CHARACTERS or _has_controls(event):
        raise RewardRefused(
            f"The event {short_repr(event)} is not an id of at most {MAX_EVENT_CHARACTERS} characters without control "
            "characters."
        )
    return event


def check_time(sent: SentReward, decided_us: int, arrived_us: int, place: int) -> int:
    """Return when the event happened, in microseconds since the epoch. `place` is the reward's place in its request.

    Rewards without a time happened when they arrived, one after the other.

    Raises:
        RewardRefused: it was before the decision, or is in the future.
    """
    if isinstance(sent.time, msgspec.UnsetType):
        return arrived_us + place
    event_us = (sent.time - _EPOCH) // _MICROSECOND
    if event_us < decided_us - CLOCKS_DIFFER_US:
        raise RewardRefused(
            f"The time {sent.time.isoformat()} is more than 5 minutes before the decision, which was made at "
            f"{_written(decided_us)}. Send the time of the event, or none."
        )
    if event_us > arrived_us + CLOCKS_DIFFER_US:
        raise RewardRefused(
            f"The time {sent.time.isoformat()} is more than 5 minutes in the future: it is {_written(arrived_us)} now."
        )
    return event_us


def _number(value: object, metric: MetricSpec) -> float:
    if not is_number(value):
        raise RewardRefused(f"The value of {metric.name} must be a finite number, not {short_repr(value)}.")
    if not metric.low <= value <= metric.high:  # type: ignore[operator]  # it is a number
        raise RewardRefused(
            f"The value of {metric.name} is {short_repr(value)}; it must lie in the range that the route declares, "
            f"{metric.low:g} to {metric.high:g}."
        )
    return float(value)  # type: ignore[arg-type]  # as above


def _label(value: object, metric: MetricSpec) -> float | str:
    if isinstance(value, str):
        if not 0 < len(value) <= MAX_LABEL_CHARACTERS or _has_controls(value):
            raise RewardRefused(
                f"The label {short_repr(value)} is not a text of 1 to {MAX_LABEL_CHARACTERS} characters without "
                "control characters."
            )
        return value
    if not is_number(value):
        raise RewardRefused(f"The label of {metric.name} must be a text or a finite number, not {short_repr(value)}.")
    if float(value) != value:  # type: ignore[arg-type]  # it is a number
        raise RewardRefused(f"The label {short_repr(value)} would lose digits as a number; send it as a text.")
    return float(value)


def _has_controls(text: str) -> bool:
    """Return True if a text has control characters (Unicode's Cc), or halves of surrogate pairs."""
    if text.isascii():
        return not text.isprintable()
    return any(each < "\x20" or "\x7f" <= each < "\xa0" or "\ud800" <= each < "\ue000" for each in text)


def _written(time_us: int) -> str:
    return (_EPOCH + time_us * _MICROSECOND).isoformat(timespec="seconds")
