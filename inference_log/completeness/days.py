"""UTC days, as the partitions of the log name them."""

from datetime import UTC, date, datetime, timedelta

from inference_log.errors import LogError

DAY_US = 86_400_000_000


class DayRefused(LogError):
    """A text is not a day."""


def start_us(day: str) -> int:
    """Return the first microsecond of a day `YYYY-MM-DD`, since the epoch.

    Raises:
        DayRefused: it is not such a day.
    """
    return int(datetime.combine(_date(day), datetime.min.time(), UTC).timestamp()) * 1_000_000


def end_us(day: str) -> int:
    """Return the first microsecond after a day. Raises like `start_us`."""
    return start_us(day) + DAY_US


def day_of(time_us: int) -> str:
    """Return the day of a time since the epoch."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).date().isoformat()


def neighbours(day: str) -> tuple[str, str]:
    """Return the day before, and the day after. Raises like `start_us`."""
    at = _date(day)
    return (at - timedelta(1)).isoformat(), (at + timedelta(1)).isoformat()


def days_before(now_us: int, count: int) -> list[str]:
    """Return the last days that are over, the oldest first."""
    return [day_of(now_us - back * DAY_US) for back in range(count, 0, -1)]


def _date(day: str) -> date:
    try:
        found = date.fromisoformat(day)
    except ValueError:
        found = None
    if found is None or found.isoformat() != day:
        raise DayRefused(f"{day} is not a day; write it as YYYY-MM-DD.")
    return found
