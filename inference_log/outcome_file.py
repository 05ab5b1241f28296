"""A file with outcomes that a business has: Parquet, CSV or JSON lines, read into the table `outcomes`.

Keys, events and labels are texts, as they are written: `007` is not 7. Values are numbers, or true and false. A time is
one with a zone, or in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from inference_log.errors import ImportRefused

_READERS: Mapping[str, str] = {
    ".parquet": "read_parquet({path})",
    ".csv": "read_csv({path}, header = true, types = {types})",
    ".tsv": "read_csv({path}, header = true, types = {types}, delim = '\t')",
    ".jsonl": "read_json({path}, format = 'newline_delimited', columns = {types})",
    ".ndjson": "read_json({path}, format = 'newline_delimited', columns = {types})",
    ".json": "read_json({path}, format = 'newline_delimited', columns = {types})",
}
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "BOOLEAN", "HUGEINT", '"NULL"')


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """The names of the columns. Of `value` and `label` one is given. Without an event's id it is a hash of the row."""

    key: str
    value: str = ""
    label: str = ""
    time: str = ""
    event: str = ""

    @property
    def named(self) -> list[str]:
        """Those that are given."""
        return [name for name in (self.key, self.value, self.label, self.time, self.event) if name]

    @property
    def texts(self) -> list[str]:
        """Those that hold texts."""
        return [name for name in (self.key, self.label, self.event) if name]


def read_outcomes(connection: duckdb.DuckDBPyConnection, path: Path, columns: OutcomeColumns, now_us: int) -> int:
    """Make the table `outcomes` from a file, and return how many rows lack a key or an outcome.

    Outcomes without a time were at `now_us`.

    Raises:
        ImportRefused: the file cannot be read, or its columns are not those.
    """
    try:
        source = _source(connection, path, columns)
        _check_columns(connection, source, columns, path)
        connection.execute(_SELECT.format(source=source, **_expressions(columns, now_us)))
        (empty,) = connection.execute(_EMPTY).fetchall()[0]
        connection.execute(_DELETE_EMPTY)
    except duckdb.Error as error:
        raise ImportRefused(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
    return int(empty)


_LACKING = "key IS NULL OR key = '' OR (value IS NULL AND label IS NULL)"
_EMPTY = f"SELECT count(*) FROM outcomes WHERE {_LACKING}"  # noqa: S608  # built from constants of this file
_DELETE_EMPTY = f"DELETE FROM outcomes WHERE {_LACKING}"  # noqa: S608  # as above
_SELECT = """
CREATE TABLE outcomes AS SELECT
    row_number() OVER () AS row, {key} AS key, {value} AS value, {label} AS label, {us} AS us, {event} AS event
FROM {source} AS read
"""


def quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _name(column: str) -> str:
    return 'read."' + column.replace('"', '""') + '"'


def _source(connection: duckdb.DuckDBPyConnection, path: Path, columns: OutcomeColumns) -> str:
    kind = next((each for each in path.suffixes[-2:] if each in _READERS), None)
    if kind is None or (path.suffix not in _READERS and path.suffix != ".gz"):
        raise ImportRefused(
            f"{path.name} must be .parquet, .csv, .tsv or .jsonl (.gz too), by which its form is known."
        )
    at = quoted(str(path))
    if kind == ".parquet":
        return _READERS[kind].format(path=at)
    if "json" in kind:
        guessed = f"read_json({at}, format = 'newline_delimited', sample_size = -1)"
    else:
        guessed = _READERS[kind].format(path=at, types="{}").replace(", types = {}", "")
    types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE FROM {guessed}").fetchall()}
    types |= {name: "VARCHAR" for name in columns.texts if name in types}
    if "json" not in kind:
        types = {name: types[name] for name in columns.texts if name in types}
    if not types:
        return guessed
    listed = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in types.items())
    return _READERS[kind].format(path=at, types="{" + listed + "}")


def _check_columns(connection: duckdb.DuckDBPyConnection, source: str, columns: OutcomeColumns, path: Path) -> None:
    types = {name: str(kind) for name, kind, *_ in connection.execute(f"DESCRIBE FROM {source}").fetchall()}
    missing = [name for name in columns.named if name not in types]
    if missing:
        raise ImportRefused(f"{path.name} has no column {missing[0]}; it has {', '.join(types)}.")
    if columns.value and not any(each in types[columns.value] for each in _NUMBERS):
        raise ImportRefused(
            f"Column {columns.value} of {path.name} does not hold numbers ({types[columns.value]}). A class or a text "
            "that was true is a label: name its column with --label-column."
        )


def _expressions(columns: OutcomeColumns, now_us: int) -> dict[str, str]:
    return {
        "key": f"{_name(columns.key)}::VARCHAR",
        "value": f"{_name(columns.value)}::DOUBLE" if columns.value else "NULL::DOUBLE",
        "label": f"{_name(columns.label)}::VARCHAR" if columns.label else "NULL::VARCHAR",
        "us": f"coalesce(epoch_us({_name(columns.time)}::TIMESTAMPTZ), {now_us})" if columns.time else str(now_us),
        "event": f"coalesce({_name(columns.event)}::VARCHAR, '')" if columns.event else "'row-' || md5(to_json(read))",
    }
