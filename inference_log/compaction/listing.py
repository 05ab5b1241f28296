"""The Parquet files of a log in which each row is once, also while they are compacted."""

from collections.abc import Iterable, Mapping

from inference_log.compaction.records import read_records, without_copies
from inference_log.files import LogFiles, StoredFile
from inference_log.schema import Table
from inference_log.stored import Keys, stored_by_keys

Stored = Mapping[Table, Mapping[Keys, list[StoredFile]]]


def stored_once(files: LogFiles, tables: Iterable[Table]) -> Stored:
    """Return the files of some tables by the values of their keys. If a compaction ends meanwhile, list them again.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    tables, records = tuple(tables), read_records(files)
    while True:
        stored = {table: stored_by_keys(files, table) for table in tables}
        before, records = records, read_records(files)
        if records == before:
            break
    keys = [file.key for of_table in stored.values() for each in of_table.values() for file in each]
    kept = set(without_copies(keys, records))
    return {
        table: {
            values: once for values, each in of_table.items() if (once := [file for file in each if file.key in kept])
        }
        for table, of_table in stored.items()
    }
