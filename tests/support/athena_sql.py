"""SQL as Athena sees it, without a server of Trino, of which there is none for tests.

Trino's own grammar parses it. sqlglot finds each column in our schema, and its type; two mistakes that Athena refuses,
or that give another number than was meant, are searched for.
"""

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from trino_query_parser import parse_statement

from inference_log.athena.tables import has_routes, type_name
from inference_log.athena.views import view_queries
from inference_log.schema import TABLES

_TRINO = {"string": "varchar", "int": "integer"}
_TEXTS = {exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT, exp.DataType.Type.CHAR}
_TIMES = {exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPTZ}
_INTEGERS = {exp.DataType.Type.INT, exp.DataType.Type.BIGINT, exp.DataType.Type.SMALLINT}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


def tables() -> dict[str, dict[str, str]]:
    """Return the columns and types of the tables that Athena has."""
    found = {}
    for table in TABLES:
        columns = {column.name: _type(column.type) for column in table.columns} | dict.fromkeys(table.keys, "varchar")
        found[f"{table.name}_raw"] = columns
        if has_routes(table):
            found[f"{table.name}_all"] = columns
    return found


def with_views() -> dict[str, dict[str, str]]:
    """Return the columns and types of tables and views."""
    found = tables()
    for name, sql in view_queries():
        found[name] = {each.alias_or_name: each.type.sql("athena") for each in checked(sql, found).selects}
    return found


def parse(sql: str) -> None:
    """Raise unless Trino's grammar has this statement."""
    parse_statement(sql)


def checked(sql: str, schema: dict[str, dict[str, str]]) -> exp.Expression:
    """Return the statement with its types, after a search for mistakes.

    Raises:
        OptimizeError: a column does not exist.
        AssertionError: a text is compared with a time, or an integer is divided by another one.
    """
    tree = annotate_types(
        qualify(sqlglot.parse_one(sql, read="athena"), schema=schema, dialect="athena"), schema=schema, dialect="athena"
    )
    for each in tree.find_all(*_COMPARISONS):
        kinds = {each.this.type.this, each.expression.type.this}
        assert not (kinds & _TEXTS and kinds & _TIMES), f"a text is compared with a time: {each.sql('athena')}"
    for each in tree.find_all(exp.Div):
        kinds = {each.this.type.this, each.expression.type.this}
        assert not kinds <= _INTEGERS, f"an integer is divided by another one: {each.sql('athena')}"
    return tree


def _type(column: pa.DataType) -> str:
    if pa.types.is_map(column):
        return f"map({_type(column.key_type)}, {_type(column.item_type)})"
    if pa.types.is_list(column):
        return f"array({_type(column.value_type)})"
    name = type_name(column)
    return _TRINO.get(name, name)
