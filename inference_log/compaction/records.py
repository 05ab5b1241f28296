"""The records of compactions: which files took the place of which others."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from inference_log.compaction.names import is_compacted
from inference_log.errors import LogUnavailable
from inference_log.files import LogFiles

_FOLDER = "_compactions/"


class Record(msgspec.Struct, frozen=True):
    """A compaction of a route's day whose new files were verified at `verified_us` (since the epoch).

    `inputs` were replaced by `outputs`; they are empty once they are removed. `checksum` is that of the rows.
    """

    identity: str
    table: str
    route: str
    day: str
    verified_us: int
    rows: int
    checksum: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key of the record below the log."""
        return f"{_folder(self.day, self.table, self.route)}{self.identity[:16]}.json"


def write_record(files: LogFiles, record: Record) -> None:
    """Store a record. Raises LogUnavailable if the log cannot be written now."""
    files.write(record.key, msgspec.json.encode(record))


def read_records(files: LogFiles, day: str = "", table: str = "", route: str = "") -> Sequence[Record]:
    """Return all records, or those of a day, of a table in it, of a route in that.

    Raises:
        LogUnavailable: the log cannot be read now, or a record is damaged.
    """
    found = []
    for stored in files.list(_folder(day, table, route)):
        content = files.read(stored.key)
        if content is None:
            continue  # another run has removed it: its files are replaced themselves
        try:
            found.append(msgspec.json.decode(content, type=Record))
        except msgspec.DecodeError as error:
            raise LogUnavailable(f"{files.path(stored.key)} is damaged: {error}.") from error
    return found


def replaced(records: Iterable[Record]) -> frozenset[str]:
    """Return the keys that other files have taken the place of."""
    return frozenset(key for each in records for key in each.inputs)


def without_copies(keys: Collection[str], records: Sequence[Record]) -> list[str]:
    """Return the keys in whose files each row is once, in order.

    Files that were replaced are left out, and new files without a record: their rows are in the files that they were to
    replace.
    """
    gone = replaced(records)
    recorded = {key for each in records for key in each.outputs}
    return sorted(key for key in keys if key not in gone and (key in recorded or not is_compacted(key)))


def _folder(day: str, table: str, route: str) -> str:
    parts = [f"dt={day}" if day else "", table, f"route={route}" if route else ""]
    return _FOLDER + "".join(f"{part}/" for part in parts if part)
