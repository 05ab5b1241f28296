"""The views of Athena, from the files in `inference_log/sql/views`.

`inferences`, `rewards`, `policies` and `audit` show each row once. Their filters by the keys that equal rows share go
before the window function, so `WHERE route = ... AND dt >= ...` reads only those files.
"""

from collections.abc import Iterator, Sequence

from inference_log.athena.statement import Statement
from inference_log.column_names import plain, unique
from inference_log.schema import INFERENCES, REWARDS, TABLES, Table
from inference_log.sql import read_sql
from router.rewards.buckets import LEAST_SETTLING_S, LONGEST_SETTLING_S
from router.rewards.events import MAX_EVENTS

_PREDICTION = "prediction"


def view_statements() -> Iterator[Statement]:
    """Yield the statements that make the views, each after those that it reads."""
    for name, sql in view_queries():
        yield _view(name, sql)


def view_queries() -> Iterator[tuple[str, str]]:
    """Yield the name and the query of each view."""
    for table in TABLES:
        identity = ", ".join((*table.identity, *table.shared))
        columns = ", ".join(_columns(table))
        yield (
            table.name,
            read_sql("views", "deduplicated", columns=columns, identity=identity, order=table.order, table=table.name),
        )
    yield "every_reward", read_sql("views", "every_reward", columns=", ".join(_columns(REWARDS)))
    for name in ("first_exposures", "metrics"):
        yield name, read_sql("views", name)
    yield (
        "labelled",
        read_sql(
            "views",
            "labelled",
            columns=", ".join(f"i.{each}" for each in _columns(INFERENCES)),
            most_events=str(MAX_EVENTS),
            longest_settling_s=f"{LONGEST_SETTLING_S:g}",
            least_settling_s=f"{LEAST_SETTLING_S:g}",
        ),
    )
    yield "loss", read_sql("views", "loss")


def typed_view(route: str, numbers: Sequence[str], texts: Sequence[str], predictions: int) -> Statement:
    """Return the statement of a view of one route, whose features and predictions are columns.

    `numbers` and `texts` are the names of its features, and `predictions` how many numbers an answer has.
    """
    hidden = {"features_num", "features_cat", _PREDICTION}
    lines = [each for each in _columns(INFERENCES) if each not in hidden]
    taken = set(lines)
    for map_name, names in (("features_num", numbers), ("features_cat", texts)):
        lines += [f"element_at({map_name}, {_text(each)}) AS {_column(each, taken)}" for each in names]
    lines += [
        f"element_at({_PREDICTION}, {place}) AS {_column(f'{_PREDICTION}_{place - 1}', taken)}"
        for place in range(1, predictions + 1)
    ]
    return _view(view_name(route), read_sql("views", "typed", columns=",\n    ".join(lines), route=route))


def view_name(route: str) -> str:
    """Return the name of a route's typed view."""
    return "route_" + plain(route)


def _view(name: str, sql: str) -> Statement:
    return Statement(name, f"CREATE OR REPLACE VIEW {name} AS\n{sql}")


def _columns(table: Table) -> list[str]:
    return [*table.columns.names, *table.keys]


def _column(name: str, taken: set[str]) -> str:
    """Return a quoted name for a column that no other has."""
    return f'"{unique(plain(name) or "_", taken)}"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
