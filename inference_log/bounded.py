"""A DuckDB that keeps to a bound of memory, whatever the size of the log. The rest goes into a temporary folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

_MEMORY = "400MB"


@contextmanager
def bounded_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to an empty database."""
    with tempfile.TemporaryDirectory(prefix="pointsman-") as folder, duckdb.connect(":memory:") as connection:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET threads = 2")
        connection.execute("SET enable_progress_bar = false")  # it would be among what a command prints
        connection.execute("SET temp_directory = ?", [folder])
        yield connection
