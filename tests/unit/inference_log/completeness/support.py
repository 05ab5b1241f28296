"""A log with segments of several days, writers and routes, shipped as a companion does."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from inference_log.completeness.late import NotingSink
from inference_log.completeness.watermark import Spool, write_watermark
from inference_log.files.directory import DirectoryFiles
from inference_log.local_converter import LocalConverter
from inference_log.record import Context, Record, SegmentHeader
from inference_log.segment import SUFFIX, frame
from inference_log.ship import Shipper
from inference_log.sinks.directory import DirectorySink

DAY = "2026-03-01"
DAY_US = 86_400_000_000
NOON_US = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
NEXT_MORNING_US = NOON_US + DAY_US // 2 + 3_600_000_000

Row = tuple[int, int, str]
"""A writer's number, the time of its event, and the route."""

CONTEXT = Context(
    0, "fraud", "a", "primary", "split", 1, "h", {"a": 1.0}, "m", "1", "d", features=("Amount", "age"), inputs=("<f8",)
)


def record(context: int, writer_seq: int, *, event_us: int, decision_id: str) -> Record:
    """Return a record of an answered instance with two features."""
    values = np.array([writer_seq, 7.0]).tobytes()
    return Record(
        context, writer_seq, decision_id, 0, event_us, "WEIGHTED", 1.0, None, 200, "ok", "", 1, 1, 1, "", "", (values,)
    )


class Machine:
    """A machine of a log: its spool, and a shipper whose clock is given."""

    def __init__(self, log: Path, spool: Path, make_record: Callable[..., Record], context: Context) -> None:
        self.now_us = NEXT_MORNING_US
        self.files = DirectoryFiles(log)
        self.spool = spool
        self._make_record, self._context = make_record, context
        sink = NotingSink(DirectorySink(log), lambda: self.files, lambda: self.now_us / 1e6)
        self.shipper = Shipper(spool, LocalConverter(sink), now=lambda: self.now_us / 1e6)
        self._spool = Spool(spool, spool.name)

    def log(self, rows: Iterable[Row], *, writer: str = "w-1", sequence: int = 0) -> Path:
        """Write a closed segment."""
        rows = list(rows)
        numbers = {route: number for number, route in enumerate(sorted({route for *_, route in rows}))}
        contexts = [frame(_changed(self._context, number, route)) for route, number in numbers.items()]
        records = [
            frame(self._make_record(numbers[route], seq, event_us=event_us, decision_id=f"{writer}-{seq}"))
            for seq, event_us, route in rows
        ]
        path = self.spool / "0" / f"{writer}-{sequence:08d}{SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join([frame(SegmentHeader(writer, sequence)), *contexts, *records]))
        return path

    def ship(self) -> None:
        self.shipper.tick()

    def say(self, *, is_last: bool = False) -> None:
        write_watermark(self.files, self._spool.watermark(self.now_us, is_last=is_last))


def _changed(context: Context, number: int, route: str) -> Context:
    values = {name: getattr(context, name) for name in Context.__struct_fields__}
    return Context(**{**values, "number": number, "route": route})


def rows(*numbers: int, route: str = "fraud", at_us: int = NOON_US) -> list[Row]:
    return [(number, at_us + number, route) for number in numbers]
