"""The tables of Athena, as statements in the dialect of Hive that Athena wants for them.

Each table of the log is `NAME_raw`, whose partitions Athena computes from the query (partition projection). So nothing
registers partitions, and none is missed. A route is `injected`: each query must say `route = '...'`. A table with a key
`route` is there a second time, as `NAME_all`, for queries across routes: its partitions are in Glue's catalog, and
something must register them (`inference_log.athena.partitions`).

The tables are external: to drop one removes no file. So each is dropped and made anew, with the columns of today.
"""

import re
from collections.abc import Iterator, Mapping

import pyarrow as pa

from inference_log.athena.statement import Statement
from inference_log.schema import TABLES, Table

MAX_BYTES = 262_144
"""Athena takes no longer statement (its quota "Query string length")."""

_DATABASE = re.compile(r"[a-z0-9_]{1,255}")
_FIRST_DAY = "2026-01-01"
_SIMPLE = {
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.binary(): "binary",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.timestamp("ms"): "timestamp",
}
_CREATE = """
CREATE EXTERNAL TABLE `{name}` (
{columns}
)
PARTITIONED BY ({keys})
STORED AS PARQUET
LOCATION '{location}'
TBLPROPERTIES (
{properties}
)
"""


def database_statement(database: str) -> Statement:
    """Return the statement that makes the database.

    Raises:
        ValueError: Athena would not take the name.
    """
    if not _DATABASE.fullmatch(database):
        raise ValueError(f"A database of Athena has small letters, digits and _ in its name, unlike {database!r}.")
    return Statement(f"database {database}", f"CREATE DATABASE IF NOT EXISTS `{database}`", in_database=False)


def table_statements(location: str) -> Iterator[Statement]:
    """Yield the statements that make all tables anew, of a log in `location`, such as `s3://BUCKET/PREFIX`."""
    for table in TABLES:
        yield from _made_anew(f"{table.name}_raw", table, location, _projection(table, location))
        if has_routes(table):
            yield from _made_anew(f"{table.name}_all", table, location, {})


def has_routes(table: Table) -> bool:
    """Return True if a table is partitioned by route."""
    return "route" in table.keys


def folder_of(table: Table, location: str) -> str:
    """Return the place of a table, with a slash at its end."""
    return f"{location.rstrip('/')}/{table.name}/"


def type_name(column: pa.DataType) -> str:
    """Return the name of a column's type in Hive's dialect."""
    if pa.types.is_map(column):
        return f"map<{type_name(column.key_type)},{type_name(column.item_type)}>"
    if pa.types.is_list(column):
        return f"array<{type_name(column.value_type)}>"
    return _SIMPLE[column]


def _made_anew(name: str, table: Table, location: str, properties: Mapping[str, str]) -> Iterator[Statement]:
    yield Statement(f"drop {name}", f"DROP TABLE IF EXISTS `{name}`")
    listed = {"classification": "parquet", **properties}
    sql = _CREATE.format(
        name=name,
        columns=",\n".join(f"  `{column.name}` {type_name(column.type)}" for column in table.columns),
        keys=", ".join(f"`{key}` string" for key in table.keys),
        location=_quotable(folder_of(table, location)),
        properties=",\n".join(f"  '{key}' = '{_quotable(value)}'" for key, value in listed.items()),
    )
    yield Statement(name, sql.strip())


def _projection(table: Table, location: str) -> dict[str, str]:
    """Return the properties by which Athena computes the partitions of a table."""
    template = folder_of(table, location) + "/".join(f"{key}=${{{key}}}" for key in table.keys) + "/"
    of_route = {"projection.route.type": "injected"} if has_routes(table) else {}
    return {
        "projection.enabled": "true",
        **of_route,
        "projection.dt.type": "date",
        "projection.dt.format": "yyyy-MM-dd",
        "projection.dt.interval": "1",
        "projection.dt.interval.unit": "DAYS",
        "projection.dt.range": f"{_FIRST_DAY},NOW+1DAYS",
        "storage.location.template": template,
    }


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
