"""Statements that register partitions in Glue's catalog, for the tables `NAME_all`.

Athena hands the partitions of a statement to Glue, whose call BatchCreatePartition takes 100. So a statement has as
many, and none comes near Athena's limit of bytes. A partition that is registered already is left as it is.
"""

from collections.abc import Iterable, Iterator, Sequence

from inference_log.athena.statement import Statement
from inference_log.athena.tables import folder_of, has_routes
from inference_log.files import LogFiles
from inference_log.schema import TABLES, Table
from inference_log.stored import Keys, stored_by_keys

MOST = 100
"""The partitions of one statement: Glue's limit for one call of BatchCreatePartition."""


def partition_statements(files: LogFiles, location: str) -> Iterator[Statement]:
    """Yield the statements that register every partition of which the log has files.

    Raises:
        LogUnavailable: the log cannot be read now.
    """
    for table in TABLES:
        if has_routes(table):
            yield from added(table, stored_by_keys(files, table), location)


def added(table: Table, partitions: Iterable[Keys], location: str) -> Iterator[Statement]:
    """Yield the statements that register some partitions of a table."""
    listed, name = list(partitions), f"{table.name}_all"
    for number, begin in enumerate(range(0, len(listed), MOST), 1):
        some = listed[begin : begin + MOST]
        lines = "\n".join(f"  {_partition(table, values, location)}" for values in some)
        yield Statement(f"partitions of {name}, {number}", f"ALTER TABLE `{name}` ADD IF NOT EXISTS\n{lines}")


def _partition(table: Table, values: Sequence[str], location: str) -> str:
    pairs = list(zip(table.keys, values, strict=True))
    named = ", ".join(f"`{key}` = '{value}'" for key, value in pairs)
    path = folder_of(table, location) + "/".join(f"{key}={value}" for key, value in pairs)
    return f"PARTITION ({named}) LOCATION '{path}/'"
