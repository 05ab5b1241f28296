"""The marker of a closed day: an empty-handed job waits until this file is there, such as an S3KeySensor of Airflow.

It is written last, after the table `closed`. It stays when late files come: what waited has run. Whether the day is
still closed is what `is_current` says.
"""

import msgspec

from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles


class Marker(msgspec.Struct, frozen=True):
    """When a day was closed, in microseconds since the epoch, and how many late files were known then."""

    closed_us: int
    late_files: int
    away: tuple[str, ...] = ()


def marker_key(day: str) -> str:
    """Return the key of a day's marker below the log."""
    return f"_closed/dt={day}/_SUCCESS"


def read_marker(files: LogFiles, day: str) -> Marker | None:
    """Return the marker of a day, or None if the day was never closed.

    Raises:
        LogUnavailable: the log cannot be read now, or the marker is damaged.
    """
    content = files.read(marker_key(day))
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Marker)
    except msgspec.DecodeError as error:
        raise LogUnavailable(f"{files.path(marker_key(day))} is damaged: {error}. Remove it.") from error


def write_marker(files: LogFiles, day: str, marker: Marker) -> None:
    """Replace the marker of a day. Raises LogUnavailable if the log cannot be written now."""
    files.write(marker_key(day), msgspec.json.encode(marker))
