"""A statement of SQL that has a name."""

from typing import NamedTuple


class Statement(NamedTuple):
    """One statement, without a semicolon. Athena runs one at a time, `in_database` or before there is one."""

    name: str
    sql: str
    in_database: bool = True
