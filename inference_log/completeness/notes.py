"""Notes of files that came after their day was closed, so that the day is closed once more, with their rows."""

import msgspec

from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles


class LateNote(msgspec.Struct, frozen=True):
    """A file, and how many rows it has."""

    key: str
    rows: int


def write_note(files: LogFiles, day: str, note: LateNote) -> None:
    """Store a note, once for each file. Raises LogUnavailable if the log cannot be written now."""
    files.write(f"{_folder(day)}{note.key.replace('/', '~')}.json", msgspec.json.encode(note))


def read_notes(files: LogFiles, day: str) -> list[LateNote]:
    """Return the notes of a day.

    Raises:
        LogUnavailable: the log cannot be read now, or a note is damaged.
    """
    try:
        contents = [files.read(stored.key) for stored in files.list(_folder(day))]
        return [msgspec.json.decode(content, type=LateNote) for content in contents if content is not None]
    except msgspec.DecodeError as error:
        raise LogUnavailable(f"A file in {files.path(_folder(day))} is damaged: {error}. Remove it.") from error


def count_notes(files: LogFiles, day: str) -> int:
    """Return the number of notes of a day. Raises like `LogFiles.list`."""
    return len(files.list(_folder(day)))


def _folder(day: str) -> str:
    return f"_late/dt={day}/"
