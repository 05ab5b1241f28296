"""Compacts a day: route by route, table by table. A scheduled job calls this, or `pointsman log compact`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from inference_log.compaction.run import Compacted, Run
from inference_log.compaction.shapes import SHAPES
from inference_log.completeness.days import start_us
from inference_log.completeness.state import require_closed
from inference_log.day_files import routes_of
from inference_log.files import LogFiles
from inference_log.sinks import Sink

KEEP_US = 3_600_000_000
"""How long files stay that others have replaced, for readers that have listed them."""
TARGET_BYTES = 256 * 1024 * 1024


def compact_day(
    files: LogFiles,
    sink: Sink,
    scratch: Path,
    day: str,
    *,
    now: Callable[[], int],
    routes: Sequence[str] = (),
    target_bytes: int = TARGET_BYTES,
    keep_us: int = KEEP_US,
    force: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Compacted]:
    """Yield what was done for each route and table that has rows; all routes, unless some are named.

    `now` returns microseconds since the epoch. `force` also takes a day that is not closed.

    Raises:
        DayRefused: it is not a day.
        NotClosed: the day is not closed.
        LogError: see `Run.compact`. What was yielded before stands.
    """
    start_us(day)
    if not force:
        require_closed(files, day)
    run = Run(files, sink, scratch, now, target_bytes=target_bytes, keep_us=keep_us)
    for shape in SHAPES:
        for route in routes or routes_of(files, shape.table.name):
            progress(f"compacting {shape.table.name} of {route}, {day}")
            made = run.compact(shape, route, day)
            if made.inputs or made.removed:
                yield made
