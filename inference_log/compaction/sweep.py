"""Removes the files that others have taken the place of, some time after that."""

from collections.abc import Sequence

import msgspec

from inference_log.compaction.records import Record, read_records, write_record
from inference_log.files import LogFiles


def sweep(files: LogFiles, day: str, table: str, route: str, now_us: int, keep_us: int) -> int:
    """Remove what was replaced before `now_us - keep_us`. Return the number of files.

    Raises:
        LogUnavailable: the log cannot be read or changed now. The next call goes on.
    """
    removed = 0
    records = sorted(read_records(files, day, table, route), key=lambda each: each.verified_us)
    for record in records:
        if record.inputs and now_us - record.verified_us >= keep_us:
            for key in record.inputs:
                files.remove(key)
            removed += len(record.inputs)
            _forget(files, records, record)
            write_record(files, msgspec.structs.replace(record, inputs=()))
    return removed


def _forget(files: LogFiles, records: Sequence[Record], newer: Record) -> None:
    """Remove the records of older runs whose files the newer one has replaced, if they have nothing to remove left."""
    gone = set(newer.inputs)
    for each in records:
        if each.key != newer.key and gone.issuperset(each.outputs):
            content = files.read(each.key)
            if content is not None and not msgspec.json.decode(content, type=Record).inputs:
                files.remove(each.key)
