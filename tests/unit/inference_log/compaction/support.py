"""A log of one day whose files can be counted, and files that fail, or end the process, at a step."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from inference_log.compaction.day import compact_day
from inference_log.compaction.run import Compacted
from inference_log.compaction.shapes import SHAPES
from inference_log.files import LogFiles, StoredFile
from inference_log.files.directory import DirectoryFiles
from inference_log.query import run_query
from inference_log.sinks.directory import DirectorySink
from tests.unit.inference_log.completeness.support import DAY, Machine, rows

INFERENCES = SHAPES[0]
HOUR_US = 3_600_000_000


class Ended(BaseException):
    """The process is killed here."""


class Steps:
    """Counts the operations on a log that change it or see it, and ends the process before one of them."""

    def __init__(self, end_before: int = 0) -> None:
        self.names: list[str] = []
        self._end_before = end_before

    def step(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self._end_before:
            raise Ended


class StepFiles(DirectoryFiles):
    """The files of a log in a directory, each operation of which is a step."""

    def __init__(self, root: Path, steps: Steps) -> None:
        super().__init__(root)
        self._steps = steps

    def list(self, below: str) -> Sequence[StoredFile]:
        self._steps.step(f"list {below}")
        return super().list(below)

    def read(self, key: str) -> bytes | None:
        self._steps.step(f"read {key}")
        return super().read(key)

    def write(self, key: str, content: bytes) -> None:
        self._steps.step(f"write {key}")
        super().write(key, content)

    def remove(self, key: str) -> None:
        self._steps.step(f"remove {key}")
        super().remove(key)


class StepSink(DirectorySink):
    """A sink each operation of which is a step."""

    def __init__(self, root: Path, steps: Steps) -> None:
        super().__init__(root)
        self._steps = steps

    def staging_path(self, key: str, segment_sha256: str) -> Path:
        self._steps.step(f"stage {key}")
        return super().staging_path(key, segment_sha256)

    def put(self, key: str, staged: Path, segment_sha256: str) -> bool:
        self._steps.step(f"put {key}")
        return super().put(key, staged, segment_sha256)


class Site:
    """A log in a directory, and runs over it with a clock that is given."""

    def __init__(self, root: Path, machine: Callable[[], Machine]) -> None:
        self.root = root
        self.log = root / "log"
        self.machine = machine()
        self.now_us = self.machine.now_us

    def add(self, *numbers: int, sequence: int = 0, writer: str = "w-1", **more: Any) -> None:
        """Ship a segment."""
        self.machine.log(rows(*numbers, **more), writer=writer, sequence=sequence)
        self.machine.ship()

    def compact(self, steps: Steps | None = None, **options: Any) -> list[Compacted]:
        steps = steps or Steps()
        files: LogFiles = StepFiles(self.log, steps)
        given = {"force": True, "keep_us": HOUR_US, "now": lambda: self.now_us, **options}
        return list(compact_day(files, StepSink(self.log, steps), self.root / "scratch", DAY, **given))

    def files(self, table: str) -> list[str]:
        return sorted(path.name for path in (self.log / table).rglob("*.parquet"))

    def ask(self, sql: str) -> list[tuple]:
        return run_query(DirectoryFiles(self.log), self.root / "none", sql)[1]

    def numbers(self) -> list[int]:
        """Return the writer's numbers of all rows, as a reader sees them who drops rows of equal identity."""
        return [number for (number,) in self._distinct("inferences", "writer_seq")]

    def wide(self, columns: str) -> list[tuple]:
        return self._distinct("wide", columns)

    def _distinct(self, table: str, columns: str) -> list[tuple]:
        pattern = self.log / table / "*" / "*" / "*.parquet"
        with duckdb.connect() as connection:
            return connection.execute(
                f"SELECT DISTINCT {columns} FROM read_parquet('{pattern}', union_by_name = true) ORDER BY ALL"
            ).fetchall()
