"""Whether a day is closed, and what it waits for."""

from inference_log.completeness.days import end_us
from inference_log.completeness.marker import read_marker
from inference_log.completeness.notes import count_notes
from inference_log.completeness.standing import GRACE_US, standing
from inference_log.completeness.watermark import read_watermarks
from inference_log.errors import LogError
from inference_log.files import LogFiles


class NotClosed(LogError):
    """A day is not complete, or was not closed, so what was asked for must wait."""


def is_closed(files: LogFiles, day: str) -> bool:
    """Return True if a day is closed, with all files that have come.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    marker = read_marker(files, day)
    return marker is not None and marker.late_files == count_notes(files, day)


def require_closed(files: LogFiles, day: str) -> None:
    """Raise unless a day is closed.

    Raises:
        NotClosed: it is not.
        LogUnavailable: the log cannot be read now.
    """
    if not is_closed(files, day):
        raise NotClosed(f"{day} is not closed. Close it with: pointsman log close --day {day}")


def why_open(files: LogFiles, day: str, now_us: int) -> str:
    """Return why a day cannot be closed yet, or an empty text. Raises LogUnavailable and DayRefused."""
    found = standing(day, read_watermarks(files), now_us)
    if found.is_closed:
        return ""
    if now_us < end_us(day) + GRACE_US:
        return "it is not over, or has been for less than 15 minutes"
    if found.waits_for:
        return f"it waits for {', '.join(found.waits_for)}"
    return "no machine has said what it has shipped"
