"""Turns SQL in Athena's dialect into DuckDB's.

They differ in a few functions, such as the division of integers and approximate percentiles. What is written here for
both avoids these.
"""

import sqlglot
from sqlglot.errors import SqlglotError

from inference_log.errors import QueryRefused


def to_duckdb(sql: str) -> str:
    """Return one statement of Athena as DuckDB writes it.

    Raises:
        QueryRefused: it is no statement, or several.
    """
    try:
        statements = sqlglot.transpile(sql, read="athena", write="duckdb", comments=False)
    except SqlglotError as error:
        raise QueryRefused(f"The query is not in Athena's dialect: {error}") from error
    if len(statements) != 1 or not statements[0]:
        raise QueryRefused("Give one statement of SQL.")
    return statements[0]
