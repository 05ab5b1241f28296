"""Closes days: counts them, writes the table `closed`, and last the marker for which jobs wait.

Two processes that close the same day write the same. The order matters: late notes are counted before the rows, so a
file that is stored in between opens the day again instead of being forgotten.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from inference_log.completeness.count import Counted, count_day
from inference_log.completeness.marker import Marker, write_marker
from inference_log.completeness.notes import read_notes
from inference_log.completeness.standing import standing
from inference_log.completeness.state import why_open
from inference_log.completeness.watermark import read_watermarks
from inference_log.files import LogFiles
from inference_log.schema import CLOSED


class Day(NamedTuple):
    """A day as `close` found or left it. `why` is empty if it is closed now. `routes` are of this closing."""

    day: str
    why: str
    late_files: int
    away: tuple[str, ...]
    routes: Sequence[Counted]


def close_day(files: LogFiles, day: str, now_us: int, *, force: bool = False) -> Day:
    """Close a day, or say why it stays open. `force` closes it whatever the machines say.

    Raises:
        LogUnavailable: the log cannot be read or written now.
        DayRefused: it is not a day.
    """
    why = "" if force else why_open(files, day, now_us)
    if why:
        return Day(day, why, 0, (), [])
    away = standing(day, read_watermarks(files), now_us).away
    notes = read_notes(files, day)
    counted = count_day(files, day)
    late: dict[str, int] = {}
    for note in notes:
        route = note.key.partition("route=")[2].partition("/")[0]
        late[route] = late.get(route, 0) + note.rows
    rows = [
        {**each._asdict(), "late": late.get(each.route, 0), "away": len(away), "closed_ts": now_us // 1000,
         "closed_ts_us": now_us}
        for each in counted
    ]  # fmt: skip
    files.write(f"{CLOSED.name}/dt={day}/closed.parquet", _parquet(rows))
    write_marker(files, day, Marker(now_us, len(notes), away))
    return Day(day, "", len(notes), away, counted)


def _parquet(rows: Sequence[dict[str, object]]) -> bytes:
    content = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema=CLOSED.columns)
    pq.write_table(table, content, version="2.6", compression="zstd", store_schema=False)
    return content.getvalue()
