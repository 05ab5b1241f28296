"""The Parquet files of a log in a directory in which each row is once, also while they are compacted."""

from pathlib import Path

from inference_log.compaction.records import read_records, without_copies
from inference_log.files.directory import DirectoryFiles


def parquet_once(log: Path) -> list[Path]:
    """Return the files. If a compaction ends meanwhile, list them again.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    files = DirectoryFiles(log)
    records = read_records(files)
    while True:
        keys = [path.relative_to(log).as_posix() for path in log.glob("*/**/*.parquet")]
        before, records = records, read_records(files)
        if records == before:
            return [log / key for key in without_copies(keys, records)]
