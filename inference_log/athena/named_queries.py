"""The queries for analysts, from the files in `inference_log/sql/queries`.

A file begins with a comment that says what the query answers, and what it scans. Its `${names}` are parameters.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from inference_log.errors import QueryRefused
from inference_log.sql import names_of, read_sql, text_of

_PARAMETER = re.compile(r"\$\{(\w+)\}")


class NamedQuery(NamedTuple):
    """A query, what it answers, what it scans, and the names of its parameters."""

    name: str
    answers: str
    scans: str
    parameters: tuple[str, ...]


def named_queries() -> list[NamedQuery]:
    """Return all of them, by name."""
    return [_described(name) for name in names_of("queries")]


def named_query(name: str, given: Mapping[str, str]) -> str:
    """Return the SQL of a query in Athena's dialect, with the values of its parameters.

    Raises:
        QueryRefused: there is no such query, a parameter has no value, or a value belongs to none.
    """
    if name not in names_of("queries"):
        raise QueryRefused(f"There is no query {name}; there are {', '.join(names_of('queries'))}.")
    query = _described(name)
    lacking = [each for each in query.parameters if each not in given]
    if lacking:
        raise QueryRefused(f"Query {name} needs {' and '.join(map(_option, lacking))}.")
    unknown = [each for each in given if each not in query.parameters]
    if unknown:
        raise QueryRefused(
            f"Query {name} has no parameter {unknown[0]}; it has {', '.join(query.parameters) or 'none'}."
        )
    return read_sql("queries", name, **{each: value.replace("'", "''") for each, value in given.items()})


def _described(name: str) -> NamedQuery:
    text = text_of("queries", name)
    comment = " ".join(line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--"))
    answers, _, scans = comment.removeprefix("Answers: ").partition(" Scans: ")
    answers = answers[:1].upper() + answers[1:]
    return NamedQuery(name, answers, scans, tuple(dict.fromkeys(_PARAMETER.findall(text))))


def _option(parameter: str) -> str:
    return f"--{parameter}" if parameter in ("route", "since") else f"--set {parameter}=…"
