"""Athena's tables and views on DuckDB, over the Parquet files of a local log."""

from pathlib import Path

import duckdb

from inference_log.athena.tables import has_routes
from inference_log.athena.translate import to_duckdb
from inference_log.athena.views import view_queries
from inference_log.schema import TABLES
from inference_log.stored import schema_with_keys


def connect(log: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection that has what `log ddl` makes in Athena."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    for table in TABLES:
        source = f"empty_{table.name}"
        connection.register(source, schema_with_keys(table).empty_table())
        if any((log / table.name).rglob("*.parquet")):
            folders = "/".join(f"{key}=*" for key in table.keys)
            types = ", ".join(f"'{key}': VARCHAR" for key in table.keys)
            source += (
                f" UNION ALL BY NAME FROM read_parquet('{log}/{table.name}/{folders}/*.parquet', "
                f"hive_partitioning = true, union_by_name = true, hive_types = {{{types}}})"
            )
        connection.execute(f"CREATE VIEW {table.name}_raw AS FROM {source}")
        if has_routes(table):
            connection.execute(f"CREATE VIEW {table.name}_all AS FROM {table.name}_raw")
    for name, sql in view_queries():
        connection.execute(f"CREATE VIEW {name} AS {to_duckdb(sql)}")
    return connection
